"""When a poll is worth it: arithmetic from the ages of the tasks and from how long tasks take (`durations`).

A poll that comes too late leaves a free slot idle, or lets somebody wait for a task that is done. A poll that comes too
early is a request for nothing. So each rule here weighs the time that is expected to be lost against a poll, in parts of
what a task takes: a second matters for tasks of twenty seconds, and not for tasks of ten minutes.

Two cases differ. While requests wait for a slot, each second of an idle slot is lost for good, and polls come as soon as
little of it is expected to be lost. Otherwise a task that is done only waits to be noticed, and polls may be rare.

Pure: times are passed in, in seconds. The constants were tuned with benchmarks/simulated.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from airflow_provider_kling.dispatch.durations import DurationModel, sample

FIRST_POLL = 5.0  # seconds after a create, while nothing is known of how long tasks take …
PART_OF_SHORTEST = 0.8  # … and otherwise this part of the shortest duration

# While no request waits for a slot:
SHORTEST_INTERVAL = 1.0  # seconds between two polls
PART_OF_TYPICAL = 0.2  # of a typical duration, between two polls. With many waiters it is less: …
WAITED = 1.0  # … a poll comes once all together are expected to have waited so much of a typical duration for it, …
LEAST_PART = 0.05  # … but no sooner than after this part
LAST_WAITED = 0.015  # of a typical duration: a load ends with its last task, so a poll follows so soon after the last end
UNLIKELY = 0.1  # ends: while fewer are expected, the interval grows …
LONGEST_STRETCH = 3  # … to at most so many times its length

# While requests wait for a slot:
SHORTEST_SLOT_INTERVAL = 0.25  # seconds between two polls
IDLE = 0.0016  # a poll comes once so much of the slots' time is expected to be lost …
# … of at least 10 slots, and of a few more where one task has them all: a poll serves few then, and costs as much; …
FEW_SLOTS, FEW_SLOTS_LESS = 17.0, 0.7
BLIND = 0.25  # … or, while nothing is known, after this part of the oldest age: no first end is noticed later than that; …
HALF_BLIND = 0.5  # … or at the latest after this part, while only the account's history is known


class Schedule:
    """When to poll tasks, from what is known at the moment of how long tasks take."""

    def __init__(self, durations: DurationModel) -> None:
        self._durations = durations

    @property
    def first_poll(self) -> float:
        """Seconds after the create of a task until its first poll."""
        shortest = self._durations.shortest
        return FIRST_POLL if shortest is None else shortest * PART_OF_SHORTEST

    def interval(self, ages: Sequence[float]) -> float:
        """Seconds between two polls of tasks of these ages, while no request waits for their slots."""
        typical = self._durations.typical
        interval = max(SHORTEST_INTERVAL, PART_OF_TYPICAL * (typical or max(ages, default=0.0)))
        if not ages or typical is None:
            return interval
        crowded = self.next_poll(ages, waste=WAITED * typical, wanted=len(ages), longest=interval)
        if crowded < interval:
            return max(SHORTEST_INTERVAL, LEAST_PART * typical, crowded)
        over = self.all_over(ages, late=LAST_WAITED * typical, longest=interval)
        if over < interval:
            return max(SHORTEST_INTERVAL, over)
        unlikely = [n for n in range(1, LONGEST_STRETCH) if self.ends_within(interval * n, ages) < UNLIKELY]
        return interval * (1 + max(unlikely, default=0))

    def slot_poll(self, ages: Sequence[float], *, wanted: int) -> float:
        """Seconds until the next poll for free slots: tasks of these ages hold slots, and `wanted` requests wait for one."""
        oldest, expected = max(ages, default=0.0), self._durations.expected
        if expected is None:
            return max(SHORTEST_SLOT_INTERVAL, FIRST_POLL - oldest, BLIND * oldest)
        waste = IDLE * expected * max(len(ages), FEW_SLOTS - FEW_SLOTS_LESS * len(ages))
        pause = self.next_poll(ages, waste=waste, wanted=wanted, longest=max(1.0, expected))
        if self._durations.typical is None:
            pause = min(pause, max(FIRST_POLL - oldest, HALF_BLIND * oldest))
        return max(SHORTEST_SLOT_INTERVAL, pause)

    def ends_within(self, seconds: float, ages: Sequence[float]) -> float:
        """How many tasks of these ages are expected to end within so many seconds."""
        rates = self._durations.rates(ages)
        return _weight(ages) * sum(rates.chance(age, within=seconds) for age in sample(ages))

    def next_poll(self, ages: Sequence[float], *, waste: float, wanted: int, longest: float) -> float:
        """Seconds until tasks of these ages are expected to have ended `waste` seconds ago, all together; at most `longest`.

        Of ended tasks only `wanted` count: more free slots than requests, or more done tasks than waiters, waste nothing.
        """
        rates, weight, sampled = self._durations.rates(ages), _weight(ages), sample(ages)
        wasted, at, step = 0.0, 0.0, max(0.02, longest / 200)
        while at < longest:
            at += step
            ended = weight * sum(rates.chance(age, within=at) for age in sampled)
            wasted += min(ended, wanted) * step
            if wasted >= waste:
                break
            step *= 1.05
        return min(at, longest)

    def all_over(self, ages: Sequence[float], *, late: float, longest: float) -> float:
        """Seconds until the last of these tasks is expected to have ended `late` seconds ago; at most `longest`."""
        rates, sampled = self._durations.rates(ages), sample(ages)
        over, at, step = 0.0, 0.0, max(0.02, longest / 50)
        while at < longest and over < late:
            at += step
            over += step * math.prod(rates.chance(age, within=at) for age in sampled)
        return min(at, longest)


def _weight(ages: Sequence[float]) -> float:
    """How many tasks each one of the sample stands for."""
    return len(ages) / len(sample(ages)) if ages else 0.0
