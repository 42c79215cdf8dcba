# The public names of this folder; `__init__.py` loads each when it is first used.
from .dispatcher import Dispatcher as Dispatcher
