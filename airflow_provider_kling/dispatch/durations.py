"""How long tasks take, learned from those that ended and those still under way; and from that, when to look next.

Pure: times are handed in, in seconds. Nothing is assumed about the shape of the distribution: ages are cut into spans,
each a little longer than the one before, and each span has a rate at which tasks of that age end.
"""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

REMEMBERED = 200  # tasks
SPANS_FROM, SPANS_RATIO, SPANS_TO = 1.0, 1.12, 86_400.0  # seconds
# What is believed before anything was seen: at any age, a task ends within as long again with about this probability.
PRIOR_RATE = 0.35
PRIOR_WEIGHT = 0.5  # tasks
# So much of an end is taken to be in its span and in those beside it: few ends leave gaps in which others may end.
SPREAD = (0.25, 0.5, 0.25)
FIRST_LOOK = 5.0  # seconds after a create, while nothing is known of how long tasks take …
PART_OF_SHORTEST = 0.8  # … and of the shortest known time else
SHORTEST_INTERVAL = 1.0  # seconds between two looks while nobody waits for a slot
PART_OF_TYPICAL = 0.2  # of the time that a task typically takes, between two looks; less where many wait: …
LATE = 1.0  # … a look once so much of that time is expected to be spent, by all together, in waiting for it …
LEAST_PART = 0.05  # … but no sooner than this
LAST_LATE = 0.015  # of that time: a look once all are expected to have ended so long ago, for the load ends with its last task
UNLIKELY = 0.1  # ends expected: fewer are not worth a look …
MOST_SKIPPED = 3  # … for at most so many intervals
# While somebody waits for a slot: a look as soon as so much of the slots' time is expected to be lost without it.
WASTE = 0.0017
BLIND = 0.25  # … and after so much of a task's age, while nothing is known: the first end is found by so much late at most
HALF_BLIND = 0.5  # … at the latest, while only the account's past tells, which may be of other scenes
SHORTEST_CONTESTED = 0.25  # seconds between two looks then
MOST_AGES = 100  # of so many tasks the ages are reckoned with; of more, evenly chosen ones
FEWEST_ENDS = 3
HISTORY_WEIGHT = 3.0  # tasks, for all that ended before anybody looked: they may have been of other scenes

_EDGES = [0.0]
while _EDGES[-1] < SPANS_TO:
    _EDGES.append(max(SPANS_FROM, _EDGES[-1] * SPANS_RATIO))


class DurationModel:
    """How long the tasks of an account take, as far as it is known."""

    def __init__(self) -> None:
        self._took: deque[float] = deque(maxlen=REMEMBERED)
        self._before: list[float] = []

    def ended_before(self, took: Sequence[float]) -> None:
        """How long tasks took that ended before anybody waited. It counts little, and less the more is seen to end.

        Nothing once an end was seen: what is reported as earlier may be the same tasks then.
        """
        if not self._took:
            self._before = sorted(max(0.0, seconds) for seconds in took)

    def ended(self, took: float) -> None:
        """A task has ended after so many seconds."""
        self._took.append(max(0.0, took))

    @property
    def typical(self) -> float | None:
        """How long a task takes, as a median; None until enough have ended."""
        if len(self._took) < FEWEST_ENDS:
            return None
        return sorted(self._took)[len(self._took) // 2]

    @property
    def expected(self) -> float | None:
        """How long a task seems to take; until enough have ended, by what earlier ones took, or the few."""
        known = self._before if self.typical is None and self._before else sorted(self._took)
        return known[len(known) // 2] if known else None

    @property
    def shortest(self) -> float | None:
        """The shortest time that a task took lately; None until enough have ended."""
        return min(self._took) if len(self._took) >= FEWEST_ENDS else None

    @property
    def first_look(self) -> float:
        """Seconds after which a look at a new task is worth it."""
        return FIRST_LOOK if self.shortest is None else self.shortest * PART_OF_SHORTEST

    def interval(self, ages: Sequence[float]) -> float:
        """Seconds between two looks at tasks of these ages that nobody waits to follow."""
        typical = self.typical
        interval = max(SHORTEST_INTERVAL, PART_OF_TYPICAL * (typical or max(ages, default=0.0)))
        if not ages or typical is None:
            return interval
        crowded = self.next_look(ages, waste=LATE * typical, wanted=len(ages), longest=interval)
        if crowded < interval:
            return max(SHORTEST_INTERVAL, LEAST_PART * typical, crowded)
        over = self.all_over(ages, late=LAST_LATE * typical, longest=interval)
        if over < interval:
            return max(SHORTEST_INTERVAL, over)
        unlikely = [n for n in range(1, MOST_SKIPPED) if self.ends_within(interval * n, ages) < UNLIKELY]
        return interval * (1 + max(unlikely, default=0))

    def contested_look(self, ages: Sequence[float], *, wanted: int) -> float:
        """Seconds until a look is worth it for the slots that it may find free: `wanted` of them are waited for."""
        oldest = max(ages, default=0.0)
        if self.expected is None:
            return max(SHORTEST_CONTESTED, FIRST_LOOK - oldest, BLIND * oldest)
        waste = WASTE * self.expected * max(1, len(ages))
        pause = self.next_look(ages, waste=waste, wanted=wanted, longest=max(1.0, self.expected))
        if self.typical is None:
            pause = min(pause, max(FIRST_LOOK - oldest, HALF_BLIND * oldest))
        return max(SHORTEST_CONTESTED, pause)

    def ends_within(self, seconds: float, ages: Sequence[float]) -> float:
        """How many tasks of these ages are expected to end within so many seconds."""
        rates, weight = self._rates(ages), _weight(ages)
        return weight * sum(-math.expm1(-_between(rates, age, age + seconds)) for age in _some(ages))

    def next_look(self, ages: Sequence[float], *, waste: float, wanted: int, longest: float) -> float:
        """Seconds until a look is worth it: until `waste` seconds of free slots are expected to lie idle.

        `wanted` is how many slots somebody waits for; tasks of these `ages` hold them now.
        """
        rates, weight, some = self._rates(ages), _weight(ages), _some(ages)
        wasted, at, step = 0.0, 0.0, max(0.02, longest / 200)
        while at < longest:
            at += step
            ended = weight * sum(-math.expm1(-_between(rates, age, age + at)) for age in some)
            wasted += min(ended, wanted) * step
            if wasted >= waste:
                break
            step *= 1.05
        return min(at, longest)

    def all_over(self, ages: Sequence[float], *, late: float, longest: float) -> float:
        """Seconds until the last of these tasks is expected to have ended `late` seconds ago."""
        rates, some = self._rates(ages), _some(ages)
        since, at, step = 0.0, 0.0, max(0.02, longest / 50)
        while at < longest and since < late:
            at += step
            since += step * math.prod(-math.expm1(-_between(rates, age, age + at)) for age in some)
        return min(at, longest)

    def _rates(self, ages: Sequence[float]) -> list[float]:
        """The rate of ending, per second, in each span of age; cumulated, so that any span is a subtraction."""
        took, running = sorted(self._took), sorted(_some(ages))
        weight = min(1.0, HISTORY_WEIGHT / max(1, len(self._before)))
        seen = [0.0, *(_within(took, *span) + weight * _within(self._before, *span) for span in pairwise(_EDGES)), 0.0]
        total, cumulated = 0.0, [0.0]
        for number, (start, end) in enumerate(pairwise(_EDGES)):
            width = end - start
            ends = sum(part * near for part, near in zip(SPREAD, seen[number : number + 3], strict=True))
            at_risk = _alive(took, start, end) + _alive(running, start, end) + weight * _alive(self._before, start, end)
            believed = PRIOR_RATE * width / max(end, SPANS_FROM)  # ends of one task
            total += (ends + PRIOR_WEIGHT * believed) / (at_risk + PRIOR_WEIGHT)
            cumulated.append(total)
        return cumulated


def _within(ends: Sequence[float], start: float, end: float) -> int:
    """How many of these, sorted, lie between the two."""
    return bisect.bisect_left(ends, end) - bisect.bisect_left(ends, start)


def _alive(ages: Sequence[float], start: float, end: float) -> float:
    """How many of these, sorted, reach this span; on average over it."""
    return len(ages) - (bisect.bisect_left(ages, start) + bisect.bisect_left(ages, end)) / 2


def _between(cumulated: list[float], start: float, end: float) -> float:
    return _at(cumulated, end) - _at(cumulated, start)


def _at(cumulated: list[float], age: float) -> float:
    if age >= _EDGES[-1]:
        return cumulated[-1]
    number = bisect.bisect_right(_EDGES, age) - 1
    part = (age - _EDGES[number]) / (_EDGES[number + 1] - _EDGES[number])
    return cumulated[number] + part * (cumulated[number + 1] - cumulated[number])


def _some(ages: Sequence[float]) -> Sequence[float]:
    return ages if len(ages) <= MOST_AGES else ages[:: len(ages) // MOST_AGES]


def _weight(ages: Sequence[float]) -> float:
    return len(ages) / len(_some(ages)) if ages else 0.0
