# The public names of this folder; `__init__.py` loads each when it is first used.
from .aiohttp_transport import AiohttpTransport as AiohttpTransport
from .flows import Load as Load
from .flows import Pause as Pause
from .flows import Room as Room
from .flows import Save as Save
from .flows import Say as Say
from .flows import Step as Step
from .flows import Steps as Steps
from .flows import Watch as Watch
from .flows import Wish as Wish
from .flows import span as span
from .flows import wish_id as wish_id
from .requests_transport import RequestsTransport as RequestsTransport
from .settings import KlingSettings as KlingSettings
