"""The progress of a batch as one line for the log. Pure: the clock is handed in."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from decimal import Decimal

from airflow_provider_kling.api import SUCCEED
from airflow_provider_kling.client import format_seconds
from airflow_provider_kling.results import STATUSES, units_of

WAITING, RUNNING, SAVING = "waiting", "running", "saving"  # the stages of an active row
WINDOW = 600.0  # seconds over which the rate is measured
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 60.0  # seconds between two lines, growing with the age of the batch


class Progress:
    """Counts the rows of a batch by stage while they are active, and by status when they have ended.

    `clock` returns seconds since any fixed time. A row is active from its first stage to its end.
    """

    def __init__(self, *, rows: int, clock: Callable[[], float]) -> None:
        self.rows = rows
        self.active: Counter[str] = Counter()  # by stage
        self.ended: Counter[str] = Counter()  # by status
        self.units = Decimal(0)
        self._clock = clock
        self._started = clock()
        self._worked = self._made = 0  # rows whose tasks this batch has waited for; of them succeeded
        self._marks: deque[tuple[float, int, int]] = deque([(self._started, 0, 0)])  # time, rows worked, of them made
        self._last_counts = ""

    def move(self, before: str | None, after: str | None) -> None:
        """A row has gone from one stage to another; None stands for none, before the first stage and after the last."""
        if before:
            self.active[before] -= 1
        if after:
            self.active[after] += 1

    def end(self, status: str, *, units: Decimal = Decimal(0), worked: bool = True) -> None:
        """A row has ended with this status.

        `worked`: this batch has waited for its task. A row that was done before, or that cannot work, says nothing about
        the rate.
        """
        self.ended[status] += 1
        self.units += units
        self._worked += worked
        self._made += worked and status == SUCCEED

    @property
    def pause(self) -> float:
        """Seconds until the next line is due: 10 at first, 60 in the end."""
        return min(LONGEST_PAUSE, max(FIRST_PAUSE, (self._clock() - self._started) / 20))

    def next_line(self) -> str:
        """The line, or an empty text if nothing has changed since the last one."""
        counts = self._counts()
        if counts == self._last_counts:
            return ""
        self._last_counts = counts
        rate = self._rate()
        return f"{counts}{f'; {rate}' if rate else ''}."

    def _counts(self) -> str:
        succeeded, ended = self.ended[SUCCEED], sum(self.ended.values())
        parts = [f"{succeeded:,} succeeded"]
        others = {status: self.ended[status] for status in STATUSES if status != SUCCEED}
        others |= {stage: self.active[stage] for stage in (RUNNING, SAVING, WAITING)}
        parts += [f"{count:,} {name}" for name, count in others.items() if count]
        started = ended + sum(self.active.values())
        return f"{started:,} of {self.rows:,} rows: {', '.join(parts)}; {units_of(self.units)}"

    def _rate(self) -> str:
        """Videos a minute and the time to go, measured over the last minutes; an empty text while no task has ended."""
        now, worked, made = self._clock(), self._worked, self._made
        while len(self._marks) > 1 and self._marks[1][0] <= now - WINDOW:
            self._marks.popleft()
        then, worked_then, made_then = self._marks[0]
        self._marks.append((now, worked, made))
        if now <= then or worked <= worked_then:
            return ""
        videos = (made - made_then) / (now - then) * 60
        remaining = max(0, self.rows - sum(self.ended.values())) * (now - then) / (worked - worked_then)
        about = f", about {format_seconds(remaining)} left" if remaining else ""
        return f"{videos:,.0f} videos a minute{about}"
