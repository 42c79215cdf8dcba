# The public names of this folder; `__init__.py` loads each when it is first used.
from .batch import KlingBatchTrigger as KlingBatchTrigger
from .task import DEFER_GRACE as DEFER_GRACE
from .task import HOLD_BACK as HOLD_BACK
from .task import VERSION as VERSION
from .task import KlingEffectTrigger as KlingEffectTrigger
from .task import KlingTaskTrigger as KlingTaskTrigger
from .task import defer as defer
