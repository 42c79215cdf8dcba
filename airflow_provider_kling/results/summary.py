"""Results counted: rows by status, deducted units, and videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from airflow_provider_kling.results.statuses import ERROR, STATUSES, describe_counts, kind_of


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


def is_units(value: Any) -> bool:
    """Whether it is a decimal text of a sensible number of units, as results have it."""
    return isinstance(value, str) and _number(value) is not None


def as_units(value: Any) -> Decimal | None:
    """A number of units as results have it, a decimal text; None for anything else."""
    return _number(value) if isinstance(value, str) else None


def decimal_of(units: Any) -> Decimal:
    """A number of units; 0 for what is no sensible number."""
    return (None if units is None else _number(str(units))) or Decimal(0)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text[:100])
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < 30 else None


def count_of(number: int, noun: str) -> str:
    """A number of things in a text: `1 row`, `1,200 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def units_of(units: Decimal) -> str:
    """A number of units in a text: `1 unit`, `35,000 units`; not `35.0` or `3.5E+1`."""
    return f"{units.normalize():,f} {'unit' if units == 1 else 'units'}"


def units_text(units: Decimal) -> str:
    """A number of units as data: `35000`."""
    return f"{units.normalize():f}"
