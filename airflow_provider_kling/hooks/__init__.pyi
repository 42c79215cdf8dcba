# The public names of this folder; `__init__.py` loads each when it is first used.
from .accounts import account_of as account_of, hook_of as hook_of
from .balance import shared_balance as shared_balance
from .callbacks import callback_address as callback_address, check_callback as check_callback
from .kling import KlingHook as KlingHook
from .saving import save_files as save_files
from .telemetry import AirflowSink as AirflowSink
