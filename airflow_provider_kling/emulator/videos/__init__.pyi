# The public names of this folder; `__init__.py` loads each when it is first used.
from .pictures import Store as Store
from .pictures import drawn_key as drawn_key
from .pictures import thumbnail as thumbnail
from .rendering import SECONDS as SECONDS
from .rendering import Videos as Videos
