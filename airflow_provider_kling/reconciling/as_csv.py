"""The table of charges, and its sums, as CSV. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_kling.reconciling.lines import AMOUNTS, COLUMNS
from airflow_provider_kling.reconciling.sums import GROUPS, Sums
from airflow_provider_kling.redaction import harmless

# With which a cell is a formula to a spreadsheet (OWASP, "CSV Injection"), also behind blanks.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_SUM_COLUMNS = ("by", "name", "charges", "units", "currency", "money", "tasks_without_charge", "units_without_charge")


def csv_lines(lines: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The lines as CSV, with a head. What a spreadsheet would take for a formula begins with an apostrophe."""
    yield _row(COLUMNS)
    for line in lines:
        yield _row(line[name] if name in AMOUNTS else _cell(line[name]) for name in COLUMNS)


def sums_csv(sums: Sums) -> Iterator[str]:
    """The sums as CSV: a line for each group and name, or several where money was paid in several currencies."""
    yield _row(_SUM_COLUMNS)
    by_group = [(group, *row) for group in GROUPS for row in sums.rows(group)]
    for group, name, one in [("all", None, sums.total), *by_group]:
        facts = one.to_json()
        missing = (facts["tasks_without_charge"], facts["units_without_charge"])
        (currency, money), *more = list(facts["money"].items()) or [("", "")]
        yield _row((group, _cell(name), facts["charges"], facts["units"], _cell(currency), money, *missing))
        for currency, money in more:
            yield _row((group, _cell(name), 0, "0", _cell(currency), money, 0, "0"))


def _cell(value: Any) -> Any:
    """A text that no spreadsheet computes."""
    if not isinstance(value, str):
        return value
    text = harmless(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _row(cells: Iterable[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(["" if cell is None else cell for cell in cells])
    return out.getvalue()
