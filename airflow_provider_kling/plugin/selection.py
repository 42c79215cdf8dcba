"""The rows that an answer holds, and the counts of all of them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from airflow_provider_kling.api import SUCCEED
from airflow_provider_kling.plugin.run_row import STATES, WAITING, RunRow
from airflow_provider_kling.results import decimal_of

MOST_ROWS = 5000  # in an answer; of more rows, those that failed come first, then those under way, then the others

_CHEAP = frozenset({SUCCEED, WAITING})


class Selection:
    """Counts rows, and keeps at most MOST_ROWS of them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.units = Decimal(0)
        self.videos = 0
        self.running_in: Counter[str] = Counter()  # rows that run now, by connection
        self._kept: dict[bool, list[tuple[int, RunRow]]] = {True: [], False: []}
        self._number = 0

    def add(self, row: RunRow) -> None:
        """Count a row, and keep it while there is room."""
        self.count(row.state, units=row.units, videos=len(row.videos), conn_ids=row.conn_ids)
        self.keep(row)

    def count(self, state: str, *, rows: int = 1, units: Any = None, videos: int = 0, conn_ids: str = "") -> None:
        """Count rows without keeping them."""
        self.counts[state] += rows
        self.units += decimal_of(units)
        self.videos += videos
        if state == "running":
            self.running_in[conn_ids] += rows

    def keep(self, row: RunRow) -> None:
        self._number += 1
        kept = self._kept[row.state in _CHEAP]
        if len(kept) < MOST_ROWS:
            kept.append((self._number, row))

    @property
    def is_full(self) -> bool:
        """Whether no row that succeeded or waits is kept any more."""
        return len(self._kept[True]) >= MOST_ROWS

    @property
    def rows(self) -> list[RunRow]:
        """The rows that are kept, in their order."""
        chosen = self._kept[False] + self._kept[True][: max(0, MOST_ROWS - len(self._kept[False]))]
        return [row for _, row in sorted(chosen, key=lambda entry: entry[0])]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def count_by(self) -> dict[str, int]:
        """The number of rows in each state."""
        return {state: self.counts.get(state, 0) for state in STATES}


def count_summary(selection: Selection, summary: Mapping[str, Any]) -> None:
    """Count the rows of a summary that the results were written with."""
    for status in STATES:
        if isinstance(number := summary.get(status), int):
            selection.count(status, rows=number)
    selection.units += decimal_of(summary.get("units"))
    selection.videos += summary["videos"] if isinstance(summary.get("videos"), int) else 0
