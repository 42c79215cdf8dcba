# The public names of this folder; `__init__.py` loads each when it is first used.
from .accounts import account_of as account_of, hook_of as hook_of
from .kling import KlingHook as KlingHook
from .saving import save_files as save_files
