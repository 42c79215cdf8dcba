# The public names of this folder; `__init__.py` loads each when it is first used.
from .active_row import QUEUED as QUEUED
from .decision import Attempt as Attempt
from .job import (
    BatchJob as BatchJob,
    BatchOutcome as BatchOutcome,
    describe_limit as describe_limit,
    in_shard as in_shard,
    is_in_shard as is_in_shard,
    limit_of as limit_of,
    shard_of as shard_of,
)
from .runner import run as run
from .snapshot import place_of as place_of, remove_snapshot as remove_snapshot
from .spool import Spool as Spool
