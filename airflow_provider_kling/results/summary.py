"""Results counted: rows by status, deducted units, and videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from airflow_provider_kling.results.statuses import ERROR, STATUSES, describe_counts, kind_of
from airflow_provider_kling.results.units import count_of, decimal_of, units_of


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Rows by status (`counts`), the `units` that Kling deducted for them, and the number of their `videos`.

    `kinds` are the rows without a video by what their errors are about, the most frequent kind first.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    kinds: Mapping[str, int] = field(default_factory=dict)
    units: Decimal = Decimal(0)
    videos: int = 0

    @property
    def rows(self) -> int:
        """The number of all rows."""
        return sum(self.counts.values())

    @property
    def text(self) -> str:
        """One line, like `15 rows: 14 succeeded, 1 invalid; 35 units, 14 videos`."""
        by_status = describe_counts({status: self.counts.get(status, 0) for status in STATUSES}) if self.rows else ""
        head = count_of(self.rows, "row") + (f": {by_status}" if by_status else "")
        return f"{head}; {units_of(self.units)}, {count_of(self.videos, 'video')}"


def describe_kinds(kinds: Mapping[str, int]) -> str:
    """Numbers of rows by what their errors are about, in a text for people: `3 moderation, 1 image`."""
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())


def summarize(lines: Iterable[Mapping[str, Any]]) -> Summary:
    """The summary of the lines of `join`. A status that is none of the four counts as an error."""
    tally = Tally()
    for line in lines:
        tally.add(line)
    return tally.summary


class Tally:
    """Counts lines one after the other; `summary` is what they come to so far."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._units, self._videos = Decimal(0), 0

    def add(self, line: Mapping[str, Any]) -> None:
        """Count one more line."""
        status = line.get("status")
        self._counts[status if status in STATUSES else ERROR] += 1
        if kind := kind_of(line):
            self._kinds[kind] += 1
        self._units += decimal_of(line.get("units"))
        self._videos += len(line.get("videos") or ())

    @property
    def summary(self) -> Summary:
        kinds = dict(sorted(self._kinds.items(), key=lambda entry: (-entry[1], entry[0])))
        return Summary(counts=dict(self._counts), kinds=kinds, units=self._units, videos=self._videos)
