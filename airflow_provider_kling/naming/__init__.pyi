# The public names of this folder; `__init__.py` loads each when it is first used.
from .run import date_of as date_of, run_fields as run_fields
from .safe_names import MOST_BYTES as MOST_BYTES
from .save_as import SaveAs as SaveAs
from .templates import FIELDS as FIELDS, Template as Template, check_fields as check_fields, columns_of as columns_of
from .unique import NameCheck as NameCheck
from .video_names import VideoName as VideoName
