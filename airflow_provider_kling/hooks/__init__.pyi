# The public names of this folder; `__init__.py` loads each when it is first used.
from .accounts import conn_ids as conn_ids
from .accounts import hook_of as hook_of
from .accounts import shares_of as shares_of
from .accounts import turn as turn
from .kling import KlingHook as KlingHook
