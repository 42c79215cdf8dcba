# The public names of this folder; `__init__.py` loads each when it is first used.
from .lines import INVALID as INVALID
from .lines import error_result as error_result
from .lines import join as join
from .lines import lines_of as lines_of
from .lines import result_of as result_of
from .writing import RESULTS as RESULTS
from .writing import opened as opened
from .writing import report_title as report_title
from .writing import write_lines as write_lines
