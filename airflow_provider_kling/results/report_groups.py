"""The rows of the report in groups: equal errors are one group, and so is a day. At most so many rows are on the page.

Rows are rendered as they come and wait in a temporary file, so that 100,000 of them need no more memory than a few.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from airflow_provider_kling.api import SUCCEED
from airflow_provider_kling.results.report_reasons import reason_of
from airflow_provider_kling.results.report_rows import UNDER_WAY, shown_kind, state_of
from airflow_provider_kling.results.summary import Tally

RUN = "run"  # the column of collected results with the name of the folder that a line comes from
MAX_GROUPS = 1000
OTHERS = "Others"
_IN_MEMORY = 2**18  # characters of rendered rows


class Piece(NamedTuple):
    """Where a rendered row is in the file, and its place within its group."""

    rank: tuple[bool, int]
    start: int
    length: int


@dataclass(kw_only=True)
class Group:
    """Rows that belong together: those with one reason, those of one state, or those of one run."""

    state: str
    """That of all its rows; an empty text for a run, whose rows have several."""
    key: str
    """What its rows have in common: a reason, or the name of a run."""
    title: str = ""
    """The error of its rows, where all of them have the same; else the key."""
    kind: str | None = None
    """What the errors of its rows are about, where that is one thing."""
    tally: Tally = field(default_factory=Tally)
    rows: int = 0
    kept: list[Piece] = field(default_factory=list, repr=False)

    def add(self, line: Mapping[str, Any], error: str) -> None:
        """Count one more row."""
        kind = shown_kind(line)
        self.tally.add(line)
        self.rows += 1
        self.title = error if self.rows == 1 or error == self.title else self.key
        self.kind = kind if self.rows == 1 or kind == self.kind else None


class Groups:
    """Takes rows one after the other, and gives them back by group."""

    def __init__(self, *, limit: int, rows: int, succeeded: int, by_run: bool) -> None:
        self._groups: dict[tuple[str, str], Group] = {}
        self._by_run = by_run
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - `close` closes it
        self._room_for_succeeded = limit - min(limit, rows - succeeded)
        self._limit = limit
        self._kept = {True: 0, False: 0}

    def close(self) -> None:
        self._file.close()

    def place(self, line: Mapping[str, Any]) -> Group | None:
        """Count a row. Returns its group if the page has room for the row; it then must be put there.

        Rows that have not succeeded come before others. Where there are too many of them, each group keeps about as many.
        """
        group = self._group_of(line)
        succeeded = state_of(line) == SUCCEED
        if succeeded or self._kept[False] < self._limit:
            has_room = not succeeded or self._kept[True] < self._room_for_succeeded
            self._kept[succeeded] += has_room
            return group if has_room else None
        if len(group.kept) < self._limit // len(self._groups):
            largest = max(self._groups.values(), key=lambda each: len(each.kept))
            if len(largest.kept) > len(group.kept) + 1:
                largest.kept.pop()
                return group
        return None

    def put(self, group: Group, html: str, *, number: int, succeeded: bool) -> None:
        """Keep a rendered row."""
        data = html.encode()
        self._file.seek(0, 2)
        group.kept.append(Piece((succeeded, number), self._file.tell(), len(data)))
        self._file.write(data)

    def html_of(self, group: Group) -> Iterator[str]:
        """The rendered rows of a group, those that did not succeed first, otherwise in the order in which they came."""
        for piece in sorted(group.kept):
            self._file.seek(piece.start)
            yield self._file.read(piece.length).decode()

    @property
    def in_order(self) -> list[Group]:
        """The latest run first; or failures, those with most rows first, then rows under way, then those that succeeded."""
        groups = list(self._groups.values())
        if self._by_run:
            return sorted(groups, key=lambda group: group.key, reverse=True)
        ends = {state: place for place, state in enumerate((*UNDER_WAY, SUCCEED), 1)}
        return sorted(groups, key=lambda group: (ends.get(group.state, 0), -group.rows))

    @property
    def shown(self) -> int:
        """The number of rows on the page."""
        return sum(len(group.kept) for group in self._groups.values())

    def _group_of(self, line: Mapping[str, Any]) -> Group:
        state = state_of(line)
        if self._by_run:
            state, key, error = "", str(line.get(RUN) or OTHERS), str(line.get(RUN) or OTHERS)
        elif state in (SUCCEED, *UNDER_WAY):
            key = error = ""
        else:
            key, error = reason_of(line), str(line.get("error") or "No reason was given.")
        if (state, key) not in self._groups and len(self._groups) >= MAX_GROUPS:
            key = OTHERS
        group = self._groups.setdefault((state, key), Group(state=state, key=key))
        group.add(line, error)
        return group
