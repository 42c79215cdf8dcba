"""How long the tasks of an account take, as far as this process has seen.

Kling does not say how long a task takes, and scenes differ. Nothing is assumed about the distribution: ages are cut into
spans, each a little longer than the one before, and each span has a rate at which tasks of that age end.

Tasks that still run count as well. Short tasks end first, so the finished ones alone make a task look shorter than it is;
a task that has run for a minute without an end lowers the rates of all spans below a minute.

Pure: times are passed in, in seconds. When to poll is decided in `schedule`.
"""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

REMEMBERED = 200  # tasks
SPANS_FROM, SPANS_RATIO, SPANS_TO = 1.0, 1.12, 86_400.0  # seconds
# Before anything is known: a task of any age ends within as much time again with about this probability.
PRIOR_RATE = 0.35
PRIOR_WEIGHT = 0.5  # tasks
# An end counts partly for the spans beside its own: otherwise few ends leave gaps in which no end is expected.
SPREAD = (0.25, 0.5, 0.25)
MOST_AGES = 100  # of more running tasks, an even sample of at least so many is used
FEWEST_ENDS = 3  # finished tasks, before they say what is typical
HISTORY_WEIGHT = 3.0  # tasks, for the whole history: its tasks may be of other scenes

_EDGES = [0.0]
while _EDGES[-1] < SPANS_TO:
    _EDGES.append(max(SPANS_FROM, _EDGES[-1] * SPANS_RATIO))


class EndingRates:
    """How likely tasks of each age are to end, as estimated at one moment.

    `cumulated` holds the sum of the rates up to each edge, so that the rate between any two ages is a subtraction.
    """

    def __init__(self, cumulated: Sequence[float]) -> None:
        self._cumulated = cumulated

    def chance(self, age: float, *, within: float) -> float:
        """The probability that a task of this age ends within so many seconds."""
        return -math.expm1(-(self._up_to(age + within) - self._up_to(age)))

    def _up_to(self, age: float) -> float:
        cumulated = self._cumulated
        if age >= _EDGES[-1]:
            return cumulated[-1]
        span = bisect.bisect_right(_EDGES, age) - 1
        part = (age - _EDGES[span]) / (_EDGES[span + 1] - _EDGES[span])
        return cumulated[span] + part * (cumulated[span + 1] - cumulated[span])


class DurationModel:
    """How long tasks take: by those that ended while this process watched, and until then by the account's history."""

    def __init__(self) -> None:
        self._durations: deque[float] = deque(maxlen=REMEMBERED)
        self._history: list[float] = []

    def add(self, seconds: float) -> None:
        """A watched task has ended; it took so many seconds."""
        self._durations.append(max(0.0, seconds))

    def add_history(self, durations: Sequence[float]) -> None:
        """The durations of tasks that ended before anybody watched. They count little, and less with each watched end.

        They are ignored once a watched task has ended: from then on the list may report the same tasks as history.
        """
        if not self._durations:
            self._history = sorted(max(0.0, seconds) for seconds in durations)

    @property
    def typical(self) -> float | None:
        """The median duration; None until enough watched tasks have ended."""
        if len(self._durations) < FEWEST_ENDS:
            return None
        return sorted(self._durations)[len(self._durations) // 2]

    @property
    def expected(self) -> float | None:
        """The best guess of a task's duration: the typical one, else the history's median, else that of the few ends."""
        durations = self._history if self.typical is None and self._history else sorted(self._durations)
        return durations[len(durations) // 2] if durations else None

    @property
    def shortest(self) -> float | None:
        """The shortest duration of late; None until enough watched tasks have ended."""
        return min(self._durations) if len(self._durations) >= FEWEST_ENDS else None

    def rates(self, ages: Sequence[float]) -> EndingRates:
        """The rates at which tasks end, while tasks of these ages run."""
        ended, running, history = sorted(self._durations), sorted(sample(ages)), self._history
        weight = min(1.0, HISTORY_WEIGHT / max(1, len(history)))
        ends = [0.0, *(_count(ended, *span) + weight * _count(history, *span) for span in pairwise(_EDGES)), 0.0]
        total, cumulated = 0.0, [0.0]
        for number, (start, end) in enumerate(pairwise(_EDGES)):
            smoothed = sum(part * near for part, near in zip(SPREAD, ends[number : number + 3], strict=True))
            at_risk = _survivors(ended, start, end) + _survivors(running, start, end) + weight * _survivors(history, start, end)
            prior = PRIOR_RATE * (end - start) / max(end, SPANS_FROM)
            total += (smoothed + PRIOR_WEIGHT * prior) / (at_risk + PRIOR_WEIGHT)
            cumulated.append(total)
        return EndingRates(cumulated)


def sample(ages: Sequence[float]) -> Sequence[float]:
    """All of these ages, or an even sample of very many: thousands of running tasks say no more than a hundred."""
    return ages if len(ages) <= MOST_AGES else ages[:: len(ages) // MOST_AGES]


def _count(durations: Sequence[float], start: float, end: float) -> int:
    """How many of these sorted durations lie in a span."""
    return bisect.bisect_left(durations, end) - bisect.bisect_left(durations, start)


def _survivors(ages: Sequence[float], start: float, end: float) -> float:
    """How many of these sorted ages reach a span, on average over the span."""
    return len(ages) - (bisect.bisect_left(ages, start) + bisect.bisect_left(ages, end)) / 2
