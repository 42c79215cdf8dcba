"""What is to happen when: items with their times, the earliest first.

Pure: times are passed in, in seconds.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

SLACK = 64  # outdated entries that may remain, besides as many as there are items


class Agenda(Generic[T]):
    """Each item has one time. Items come and go in any order, and most of them go long before their time."""

    def __init__(self) -> None:
        self._times: dict[T, float] = {}
        self._heap: list[tuple[float, int, T]] = []  # also holds outdated entries
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._times)

    def put(self, item: T, at: float) -> None:
        """This item is due at this time, and at no other."""
        self._times[item] = at
        heapq.heappush(self._heap, (at, next(self._numbers), item))
        self._tidy()

    def discard(self, item: T) -> None:
        """This item is not due any more."""
        self._times.pop(item, None)
        self._tidy()

    @property
    def next_at(self) -> float:
        """The earliest time; infinity without items."""
        while self._heap and self._times.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else float("inf")

    def pop_due(self, now: float) -> Iterator[T]:
        """The items that are due by now, one after the other. Items that are put meanwhile count as well."""
        while self.next_at <= now:
            item = heapq.heappop(self._heap)[2]
            del self._times[item]
            yield item

    def _tidy(self) -> None:
        """Drop outdated entries, so that they do not pile up until their times."""
        if len(self._heap) > 2 * len(self._times) + SLACK:
            self._heap = [entry for entry in self._heap if self._times.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)
