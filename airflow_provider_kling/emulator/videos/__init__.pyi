# The public names of this folder; `__init__.py` loads each when it is first used.
from .pictures import Store as Store, drawn_key as drawn_key
from .rendering import SECONDS as SECONDS, Videos as Videos
from .uploads import Upload as Upload, receive as receive
