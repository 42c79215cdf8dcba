# The public names of this folder; `__init__.py` loads each when it is first used.
from .ends import (
    CALLBACK as CALLBACK,
    SWEEP as SWEEP,
    asset_uri as asset_uri,
    end_in as end_in,
    end_of as end_of,
    ended_tasks_of as ended_tasks_of,
    heard_key as heard_key,
    minute_of as minute_of,
    slot_of as slot_of,
    swept_key as swept_key,
)
from .sweeping import KEPT as KEPT, MARGIN as MARGIN, Shown as Shown, Sweeps as Sweeps
