# The public names of this folder; `__init__.py` loads each when it is first used.
from .callbacks import Callbacks as Callbacks
from .callbacks import Notice as Notice
from .callbacks import shown_url as shown_url
from .server import ServerThread as ServerThread
from .server import serve as serve
