"""How far a batch has come, as one line for the log. Pure: the clock is handed in."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from decimal import Decimal

from airflow_provider_kling.api import SUCCEED
from airflow_provider_kling.client import format_seconds

WAITING, RUNNING, SAVING = "waiting", "running", "saving"
WINDOW = 600.0  # seconds over which the rate is reckoned
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 60.0  # seconds between two lines, growing with the time that the batch has taken


class Progress:
    """Counts the rows of a batch by where they are. `clock` tells seconds, from any beginning."""

    def __init__(self, *, rows: int, clock: Callable[[], float]) -> None:
        self.rows = rows
        self.under_way: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()  # by status
        self.units = Decimal(0)
        self._clock = clock
        self._started = clock()
        self._marks: deque[tuple[float, int, int]] = deque([(self._started, 0, 0)])  # time, rows ended, of them succeeded
        self._said = ""

    def move(self, before: str | None, after: str | None) -> None:
        """A row has come from one place to another one; None is outside."""
        if before:
            self.under_way[before] -= 1
        if after:
            self.under_way[after] += 1

    def end(self, status: str, *, units: Decimal = Decimal(0)) -> None:
        """A row has ended with this status."""
        self.ended[status] += 1
        self.units += units

    @property
    def pause(self) -> float:
        """Seconds until the next line is due: 10 at first, in the end 60."""
        return min(LONGEST_PAUSE, max(FIRST_PAUSE, (self._clock() - self._started) / 20))

    def news(self) -> str:
        """The line, if there is anything new to tell."""
        counts = self._counts()
        if counts == self._said:
            return ""
        self._said = counts
        rate = self._rate()
        return f"{counts}{f'; {rate}' if rate else ''}."

    def _counts(self) -> str:
        succeeded, ended = self.ended[SUCCEED], sum(self.ended.values())
        parts = [f"{succeeded:,} succeeded"]
        places = {"failed": ended - succeeded, **{place: self.under_way[place] for place in (RUNNING, SAVING, WAITING)}}
        parts += [f"{count:,} {name}" for name, count in places.items() if count]
        begun = ended + sum(self.under_way.values())
        units = f"{self.units.normalize():,f} {'unit' if self.units == 1 else 'units'}"
        return f"{begun:,} of {self.rows:,} rows: {', '.join(parts)}; {units}"

    def _rate(self) -> str:
        now, ended, succeeded = self._clock(), sum(self.ended.values()), self.ended[SUCCEED]
        while len(self._marks) > 1 and self._marks[1][0] <= now - WINDOW:
            self._marks.popleft()
        then, ended_then, succeeded_then = self._marks[0]
        self._marks.append((now, ended, succeeded))
        if now <= then or ended <= ended_then:
            return ""
        videos = (succeeded - succeeded_then) / (now - then) * 60
        left = max(0, self.rows - ended) * (now - then) / (ended - ended_then)
        about = f", about {format_seconds(left)} left" if left else ""
        return f"{videos:,.0f} videos a minute{about}"
