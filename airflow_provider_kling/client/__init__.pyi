# The public names of this folder; `__init__.py` loads each when it is first used.
from . import flows as flows
from .addresses import check_host as check_host, same_origin as same_origin
from .aiohttp_transport import AiohttpTransport as AiohttpTransport
from .async_client import AsyncClient as AsyncClient
from .deadlines import (
    Deadline as Deadline,
    last_answer_by as last_answer_by,
    monotonic_deadline as monotonic_deadline,
    monotonic_now as monotonic_now,
    seconds as seconds,
)
from .downloads import DOWNLOADS as DOWNLOADS, Downloads as Downloads
from .flows import Submission as Submission, external_id_of as external_id_of, format_seconds as format_seconds
from .link_check import link_problem as link_problem
from .logs import LevelLog as LevelLog
from .retrying import Attempts as Attempts
from .settings import KlingSettings as KlingSettings
from .spending import Spending as Spending
from .sync_client import Client as Client
from .urllib3_transport import Urllib3Transport as Urllib3Transport
from .webhooks import check_signature as check_signature
