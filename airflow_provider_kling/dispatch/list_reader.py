"""Which pages of the list of tasks are worth reading.

The list's order is documented nowhere, and an account may hold 100,000 old tasks: so the first page is read, then those on
which wanted tasks were found the last time and their neighbours. If none was found anywhere, the end of the list is
looked for once in a while; while many are missing, each look goes a page further into the list. What no page has shown is
for the caller to ask singly. Places in the list are counted in tasks, because the size of pages differs from look to look.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from airflow_provider_kling.api import MAX_PAGE_NUM, MAX_PAGE_SIZE, Page, Task

SMALLEST_PAGE = 30
FEW = 10  # wanted tasks that are not worth the search for the end of the list
SEARCH_INTERVAL = 300.0  # seconds

Fetch = Callable[[int, int], Awaitable[Page]]  # takes the page's number and size


@dataclass
class _Reading:
    """One pass over some pages."""

    fetch: Fetch
    saw: Callable[[Task], bool]
    missing: int
    size: int
    hits: dict[int, int] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)

    async def read(self, number: int) -> int:
        """How many wanted tasks a page has shown; each page is read once."""
        if number not in self.hits and 1 <= number <= MAX_PAGE_NUM:
            page = await self.fetch(number, self.size)
            self.lengths[number] = page.length
            self.hits[number] = sum(map(self.saw, page.tasks))
            self.missing -= self.hits[number]
        return self.hits.get(number, 0)

    async def read_around(self, number: int) -> None:
        """A page, and its neighbours as long as they show wanted tasks and some are missing."""
        for step in (1, -1):
            at = number
            while self.missing > 0 and await self.read(at) and not (step == 1 and self.lengths[at] < self.size):
                at += step
        await self.read(number)

    @property
    def whole(self) -> bool:
        """Whether the pages read are the whole list."""
        last = max(self.lengths)
        return self.lengths[last] < self.size and set(self.lengths) == set(range(1, last + 1))


class ListReader:
    """Where wanted tasks were found in the list, from look to look."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, int]] = []  # places of the first and the last task of a page
        self._further = 0  # the place up to which the list was read while many were missing
        self._search_at = 0.0

    async def read(
        self, fetch: Fetch, saw: Callable[[Task], bool], *, wanted: int, running: int = 0, whole_up_to: int = 0, now: float
    ) -> bool:
        """Read what is worth it, and hand each task to `saw`, which tells whether it was wanted and not yet seen.

        `wanted` is how many are looked for, `running` how many may be running in all; with `whole_up_to` so many pages
        are read for the whole list. Whether the pages read are the whole list.
        """
        size = MAX_PAGE_SIZE if whole_up_to or self._kept else min(MAX_PAGE_SIZE, max(SMALLEST_PAGE, 2 * max(wanted, running)))
        reading = _Reading(fetch, saw, wanted, size)
        await reading.read_around(1)
        for number in range(2, whole_up_to + 1):
            if reading.lengths[number - 1] == size:
                await reading.read(number)
            else:
                break
        for number in sorted({place // size + 1 for places in self._kept for place in places}):
            if reading.missing > 0:
                await reading.read_around(number)
        found = any(reading.hits.values())
        if not found and reading.missing > FEW and reading.lengths[1] == size and now >= self._search_at:
            self._search_at = now + SEARCH_INTERVAL
            await reading.read_around(await self._last(reading))
        if reading.missing > FEW and reading.lengths[1] == size:
            number = max(2, self._further // size + 1)
            await reading.read_around(number)
            self._further = number * size if reading.lengths.get(number) == size else 0
        self._kept = [((number - 1) * size, number * size - 1) for number, hits in reading.hits.items() if hits and number > 1]
        return reading.whole

    async def _last(self, reading: _Reading) -> int:
        """The last page that holds anything, found by halving."""
        full, beyond = 1, MAX_PAGE_NUM + 1
        while beyond - full > 1:
            middle = (full + beyond) // 2
            await reading.read(middle)
            if reading.lengths[middle]:
                full = middle
            else:
                beyond = middle
        return full
