# The public names of this folder; `__init__.py` loads each when it is first used.
from .registration import KlingPlugin as KlingPlugin
