# The public names of this folder; `__init__.py` loads each when it is first used.
from .accounts import reconcile as reconcile
from .as_csv import csv_lines as csv_lines, sums_csv as sums_csv
from .finding import check_sources as check_sources, known_tasks as known_tasks
from .known import KnownTask as KnownTask, task_of_line as task_of_line
from .ledger import Ledger as Ledger
from .lines import COLUMNS as COLUMNS, read_line as read_line
from .page import page_policy as page_policy, render_charges as render_charges
from .span import DEFAULT_LATENESS as DEFAULT_LATENESS, Span as Span, day_before as day_before, span_of as span_of
from .states import MATCHED as MATCHED, MEANINGS as MEANINGS, NOT_COMPARED as NOT_COMPARED, STATES as STATES
from .sums import Sum as Sum, Sums as Sums, amounts_text as amounts_text
from .writing import (
    TABLE as TABLE,
    facts_of as facts_of,
    totals_of as totals_of,
    write_charges as write_charges,
    written_lines as written_lines,
)
