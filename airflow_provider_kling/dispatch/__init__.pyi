# The public names of this folder; `__init__.py` loads each when it is first used.
from .accounts import shares_of as shares_of, turn as turn
from .dispatcher import Dispatcher as Dispatcher, shared as shared
