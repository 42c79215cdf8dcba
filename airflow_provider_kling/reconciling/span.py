"""The span of time that is reconciled, in the time zone whose days count. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

import pendulum

from airflow_provider_kling.api import shorten
from airflow_provider_kling.errors import KlingInputError

# The vendor says of the balance that it is up to 12 hours late, and nothing of the lists of charges.
DEFAULT_LATENESS = timedelta(hours=12)

Zone: TypeAlias = pendulum.Timezone | pendulum.FixedTimezone

_TEXT = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\S+)?")
_WANTED = "wanted is a date like 2026-11-01, or a time like 2026-11-01T06:00+08:00"


@dataclass(frozen=True, kw_only=True)
class Span:
    """From `start` on and before `end`, both in the zone named `timezone`, in which days are counted."""

    start: pendulum.DateTime
    end: pendulum.DateTime
    timezone: str

    @property
    def days(self) -> Iterator[tuple[pendulum.DateTime, pendulum.DateTime]]:
        """The span in parts, none of which reaches over a midnight."""
        start = self.start
        while start < self.end:
            end = min(start.start_of("day").add(days=1), self.end)
            yield start, end
            start = end

    @property
    def text(self) -> str:
        """Like `2026-11-01 to 2026-11-30, UTC`; with times where it does not begin and end at midnights."""
        if all(time == time.start_of("day") for time in (self.start, self.end)):
            first, last = self.start.to_date_string(), self.end.subtract(days=1).to_date_string()
            return f"{first}, {self.timezone}" if first == last else f"{first} to {last}, {self.timezone}"
        return f"{self.start:%Y-%m-%d %H:%M:%S} to {self.end:%Y-%m-%d %H:%M:%S}, {self.timezone}"

    def day_of(self, time: datetime) -> str:
        """The day of a time, like `2026-11-01`."""
        return pendulum.instance(time).in_timezone(self.start.timezone or "UTC").to_date_string()


def span_of(start: Any, end: Any = None, timezone: str = "UTC") -> Span:
    """The span between two dates or times, as texts or objects. Without an end, it is the day of the start.

    A date as `end` is the last day of the span; a time is its end, and no part of it. What has no zone of its own is in
    `timezone`. Raises KlingInputError.
    """
    zone = _zone(timezone)
    first = _moment("start", start, zone)
    begin = _instant(first, zone)
    last = begin.date() if end is None or end == "" else _moment("end", end, zone)
    until = _instant(last, zone) if isinstance(last, datetime) else _instant(last, zone).add(days=1)
    if begin >= until:
        raise KlingInputError(f"The span of charges starts at {begin}, which is not before its end {until}.")
    return Span(start=begin, end=until, timezone=timezone)


def day_before(moment: datetime, timezone: str = "UTC") -> str:
    """The last day, like `2026-11-22`, that was over at this time. Raises KlingInputError for an unknown time zone."""
    return pendulum.instance(moment).in_timezone(_zone(timezone)).subtract(days=1).to_date_string()


def _zone(name: Any) -> Zone:
    try:
        zone: Zone = pendulum.timezone(name)
    except Exception:  # noqa: BLE001 - which one depends on how the name is wrong
        raise KlingInputError(f"The time zone is {shorten(name)}; wanted is a name like UTC or Asia/Shanghai.") from None
    return zone


def _moment(name: str, given: Any, zone: Zone) -> date:
    """A date, or a datetime where there is a time of day."""
    if isinstance(given, date):
        return given
    text = given.strip() if isinstance(given, str) else ""
    try:
        found = pendulum.parse(text, exact=True, tz=zone) if _TEXT.fullmatch(text) else None
    except (ValueError, TypeError, OverflowError):
        found = None
    if not isinstance(found, date):
        raise KlingInputError(f"The {name} of the charges is {shorten(given)}; {_WANTED}.")
    return found


def _instant(moment: date, zone: Zone) -> pendulum.DateTime:
    """The time in the zone; the first one of a date."""
    if not isinstance(moment, datetime):
        return pendulum.datetime(moment.year, moment.month, moment.day, tz=zone)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return pendulum.instance(moment).in_timezone(zone)
