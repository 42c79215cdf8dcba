"""Caps of a run, which tell which of its rows may be paid for; and those of an account, per day and month. Pure.

A cap of a run is divided before anything is spent. Each row has a place in its run (its number in the manifest, or its map
index), and the place alone decides whether the row may be paid for. So nothing has to be counted while it happens, a crash
forgets nothing, and workers, shards and triggerers need not agree: whatever dies when, no more than the cap is made.

A row that was paid for stays paid for if it is cleared: what exists is adopted. A second task for a row, after its image has
changed, needs a cap that pays for each row twice. Where rows are added to the manifest of a run that has begun, places change:
so after the first try, what the account's list shows of the run counts as well.

May import `errors`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from airflow_provider_kling.errors import KlingCappedError, KlingInputError
from airflow_provider_kling.values import value

UNPAID = "Nothing was sent, nothing was paid."
AGAIN = "With a higher cap, run this again to make it."


@value(kw_only=True)
class RunCap:
    """The most that one run may make: so many videos, for so many units. None is no cap."""

    max_videos: int | None = None
    max_units: Decimal | None = None

    @classmethod
    def of(cls, max_videos: Any, max_units: Any, *, names: tuple[str, str] = ("max_videos", "max_units")) -> RunCap:
        """The caps as a DAG's author writes them, also as texts: `50`, `"50"`, `12.5`; None, `""` and `"None"` are no cap.

        Raises KlingInputError for anything else.
        """
        videos = _number(names[0], max_videos, wanted="a whole number of videos, like 50")
        if videos is not None and videos != videos.to_integral_value():
            raise KlingInputError(f"{names[0]} is {max_videos!r}; wanted is a whole number of videos, like 50.")
        units = _number(names[1], max_units, wanted="a number of units, like 120 or 7.5")
        return cls(max_videos=None if videos is None else int(videos), max_units=units)

    def __bool__(self) -> bool:
        return self.max_videos is not None or self.max_units is not None

    def after(self, videos: int, units: Decimal) -> RunCap:
        """What is left of this cap after so many videos, which cost so many units."""
        return RunCap(
            max_videos=None if self.max_videos is None else max(0, self.max_videos - videos),
            max_units=None if self.max_units is None else max(Decimal(0), self.max_units - units),
        )

    def allowance(self, rows: Iterable[tuple[int, Decimal | None]]) -> Allowance:
        """What this cap permits of these rows: the first ones, as far as it goes.

        `rows` are the places of all rows of the run, rising, each with what its video costs at most; None is not known. What
        is not known counts for `max_videos` alone: KlingInputError if there is no such cap.
        """
        videos, units, last, text = 0, Decimal(0), -1, ""
        for place, cost in rows:
            videos += 1
            units += self._counted(cost)
            if not text:
                text = self._exceeded(videos, units)
                last = last if text else place
        return Allowance(last=last, rounds=self._rounds(videos, units), text=text, most=self.max_videos)

    def _counted(self, cost: Decimal | None) -> Decimal:
        if cost is None and self.max_units is not None and self.max_videos is None:
            raise KlingInputError(
                f"max_units={self.max_units:f} cannot be held: no price of any scene is known. Set one by hand (prices.fix_price), "
                "or give max_videos, too, for a first run that learns the prices."
            )
        return cost or Decimal(0)

    def _exceeded(self, videos: int, units: Decimal) -> str:
        """Why a row is beyond the cap, given all rows up to it; an empty text if it is not."""
        if self.max_videos is not None and videos > self.max_videos:
            return f"max_videos={self.max_videos:,} permits the first {self.max_videos:,} rows of this run"
        if self.max_units is not None and units > self.max_units:
            return (
                f"max_units={self.max_units:,f} permits {videos - 1:,} rows of this run; with the next one it would cost {units:,f}"
            )
        return ""

    def _rounds(self, videos: int, units: Decimal) -> int:
        """How often all rows together may be paid for."""
        rounds = [] if self.max_videos is None else [self.max_videos // max(1, videos)]
        if self.max_units is not None and units:
            rounds.append(int(self.max_units // units))
        return min(rounds, default=1)


@value(kw_only=True)
class Allowance:
    """Which rows of a run may be paid for: those up to the place `last`, and each of them `rounds` times, at least once.

    `text` says why no row after it may, where there is one. `most` is the number of videos that the run may make, if there is
    such a cap.
    """

    last: int
    rounds: int
    text: str
    most: int | None = None

    def refusal(self, place: int, *, paid_before: int = 0, others: int = 0) -> KlingCappedError | None:
        """The error for a row that may not be paid for; None if it may.

        `paid_before` is how many tasks of other requests it has had in this run, `others` how many other rows have one.
        """
        if place > self.last:
            return KlingCappedError(f"Capped: {self.text}. {UNPAID} {AGAIN}")
        if self.most is not None and others + paid_before >= self.most:
            return KlingCappedError(f"Capped: max_videos={self.most:,}, and so many were made in this run. {UNPAID} {AGAIN}")
        if paid_before and paid_before >= self.rounds:
            return KlingCappedError(
                "Capped: this row has had its video in this run, and its request has changed since. The caps of the run do not pay "
                f"for each row {'twice' if paid_before == 1 else f'{paid_before + 1} times'}. {UNPAID} {AGAIN}"
            )
        return None

    def to_json(self) -> dict[str, Any]:
        """The allowance as plain values, for a trigger's row."""
        return {"last": self.last, "rounds": self.rounds, "text": self.text, "most": self.most}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Allowance:
        """The allowance in a trigger's row."""
        return cls(**{name: value[name] for name in ("last", "rounds", "text", "most")})


PERIODS = ("day", "month")


@value(kw_only=True)
class AccountCap:
    """The most that may be made with a connection in a day and in a month (UTC): videos, and units. None is no cap."""

    max_videos_per_day: int | None = None
    max_videos_per_month: int | None = None
    max_units_per_day: Decimal | None = None
    max_units_per_month: Decimal | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> AccountCap:
        """The caps among these settings. Raises KlingInputError for what is no number."""
        caps: dict[str, Any] = {}
        for period in PERIODS:
            videos, units = f"max_videos_per_{period}", f"max_units_per_{period}"
            run = RunCap.of(values.get(videos), values.get(units), names=(videos, units))
            caps |= {videos: run.max_videos, units: run.max_units}
        return cls(**caps)

    def __bool__(self) -> bool:
        return any(value is not None for value in vars(self).values())

    @property
    def counts_units(self) -> bool:
        """Whether prices matter."""
        return self.max_units_per_day is not None or self.max_units_per_month is not None

    def refusal(self, made: Mapping[str, tuple[int, Decimal]], cost: Decimal | None) -> KlingCappedError | None:
        """The error for one more video, which costs at most `cost`; None if it is permitted.

        `made` are the videos and units of this day and of this month: `{"day": (3, Decimal(9)), "month": …}`. A cost that is not
        known counts for the numbers of videos alone: an error where there is no such cap.
        """
        for period in PERIODS:
            videos, units = made[period]
            most, most_units = getattr(self, f"max_videos_per_{period}"), getattr(self, f"max_units_per_{period}")
            if most is not None and videos + 1 > most:
                return self._error(f"max_videos_per_{period}={most:,}, and {videos:,} were made", period)
            if most_units is None:
                continue
            if cost is None and most is None:
                return self._error(f"max_units_per_{period}={most_units:f} cannot be held, since no price is known", period)
            if units + (cost or 0) > most_units:
                return self._error(f"max_units_per_{period}={most_units:f}, and {units:f} units were spent", period)
        return None

    @staticmethod
    def _error(text: str, period: str) -> KlingCappedError:
        return KlingCappedError(
            f"Capped: the connection has {text} this {period} (UTC). {UNPAID} "
            f"Run this again in the next {period}, or with a higher cap."
        )


def _number(name: str, value: Any, *, wanted: str) -> Decimal | None:
    if value is None or (isinstance(value, str) and value.strip() in ("", "None", "null")):
        return None
    try:
        number = None if isinstance(value, bool) else Decimal(str(value).strip())
    except (InvalidOperation, ValueError):
        number = None
    if number is None or not number.is_finite() or not 0 <= number < 10**15:
        raise KlingInputError(f"{name} is {str(value)[:60]!r}; wanted is {wanted}.")
    return number
