# The public names of this folder; `__init__.py` loads each when it is first used.
from .balance import KlingBalanceTrigger as KlingBalanceTrigger, too_late as too_late, waiting_for as waiting_for
from .base import HOLD_BACK as HOLD_BACK, VERSION as VERSION
from .batch import KlingBatchTrigger as KlingBatchTrigger
from .deferral import (
    DEFER_GRACE as DEFER_GRACE,
    bounded as bounded,
    check_connections as check_connections,
    defer as defer,
    defer_with as defer_with,
)
from .finished import KlingFinishedTasksTrigger as KlingFinishedTasksTrigger
from .waiting import KlingEffectTrigger as KlingEffectTrigger, KlingTaskTrigger as KlingTaskTrigger
