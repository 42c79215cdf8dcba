# The public names of this folder; `__init__.py` loads each when it is first used.
from .accounts import conn_ids as conn_ids, shares_of as shares_of, turn as turn
from .dispatcher import Dispatcher as Dispatcher, shared as shared
