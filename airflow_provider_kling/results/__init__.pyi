# The public names of this folder; `__init__.py` loads each when it is first used.
from .lines import (
    join as join,
    lines_of as lines_of,
    lines_without_rows as lines_without_rows,
    merge as merge,
    to_jsonl as to_jsonl,
    with_row as with_row,
)
from .origin import ORIGIN as ORIGIN, read_origin as read_origin
from .progress_file import read_progress as read_progress
from .reading import ReadLine as ReadLine, damaged_row as damaged_row, intact_lines as intact_lines, read_results as read_results
from .report import page_style as page_style, render_report as render_report, report_policy as report_policy
from .report_links import LinkOf as LinkOf, relative_links as relative_links
from .report_reasons import reason_of as reason_of
from .report_rows import minute as minute
from .sidecars import sidecars_are_written as sidecars_are_written, write_sidecars as write_sidecars
from .statuses import (
    CAPPED as CAPPED,
    ERROR as ERROR,
    INVALID as INVALID,
    STATUSES as STATUSES,
    describe_counts as describe_counts,
    kind_of as kind_of,
)
from .summary import Summary as Summary
from .task_result import error_result as error_result, result_of as result_of, saved_result as saved_result
from .unfinished import UNFINISHED as UNFINISHED
from .units import (
    as_units as as_units,
    count_of as count_of,
    decimal_of as decimal_of,
    units_of as units_of,
    units_text as units_text,
)
from .writing import RESULTS as RESULTS, report_title as report_title, write_lines as write_lines
from .xcom_keys import (
    BATCH as BATCH,
    CREATED_TASK as CREATED_TASK,
    FAILED_RESULT as FAILED_RESULT,
    PROGRESS as PROGRESS,
    SUMMARY as SUMMARY,
)
