# The public names of this folder; `__init__.py` loads each when it is first used.
from .formats import FORMATS as FORMATS
from .images import is_inline as is_inline
from .images import is_portable as is_portable
from .images import label as label
from .images import load_image as load_image
from .rows import IMAGE_COLUMNS as IMAGE_COLUMNS
from .rows import RESULT_COLUMNS as RESULT_COLUMNS
from .rows import BadRow as BadRow
from .rows import Manifest as Manifest
from .rows import Row as Row
from .rows import parse_rows as parse_rows
from .rows import resolve_images as resolve_images
