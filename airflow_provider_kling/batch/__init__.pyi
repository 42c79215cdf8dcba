# The public names of this folder; `__init__.py` loads each when it is first used.
from .engine import QUEUED as QUEUED
from .job import BatchJob as BatchJob
from .job import BatchOutcome as BatchOutcome
from .job import in_shard as in_shard
from .job import limit_of as limit_of
from .job import shard_of as shard_of
from .spool import Spool as Spool
