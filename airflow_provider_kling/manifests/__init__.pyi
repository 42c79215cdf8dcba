# The public names of this folder; `__init__.py` loads each when it is first used.
from .columns import IMAGE_COLUMNS as IMAGE_COLUMNS, KNOWN_COLUMNS as KNOWN_COLUMNS, RESULT_COLUMNS as RESULT_COLUMNS
from .formats import FORMATS as FORMATS
from .leftovers import REASONS as REASONS, REQUEST as REQUEST, request_of as request_of
from .loading import ManifestFile as ManifestFile
from .parsing import parse_rows as parse_rows, read_rows as read_rows
from .row_checks import sources_of as sources_of
from .rows import (
    BadRow as BadRow,
    Manifest as Manifest,
    Row as Row,
    resolve_image as resolve_image,
    resolve_images as resolve_images,
)
from .sources import is_portable as is_portable, load_image as load_image
