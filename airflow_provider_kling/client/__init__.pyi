# The public names of this folder; `__init__.py` loads each when it is first used.
from .aiohttp_transport import AiohttpTransport as AiohttpTransport
from .flows import CheckCapacity as CheckCapacity
from .flows import Flow as Flow
from .flows import LoadRequest as LoadRequest
from .flows import Log as Log
from .flows import SaveVideo as SaveVideo
from .flows import Sleep as Sleep
from .flows import Step as Step
from .flows import Submission as Submission
from .flows import Watch as Watch
from .flows import external_id_of as external_id_of
from .flows import format_seconds as format_seconds
from .requests_transport import RequestsTransport as RequestsTransport
from .settings import KlingSettings as KlingSettings
