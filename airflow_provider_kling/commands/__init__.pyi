# The public names of this folder; `__init__.py` loads each when it is first used.
from .command_line import main as main
