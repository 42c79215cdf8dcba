"""Which pages of the account's list of tasks are worth reading.

The order of the list is documented nowhere, and an account may hold 100,000 old tasks. So nothing relies on an order, and
no sweep reads the whole list of a large account. A sweep tries, in turn:

1. the first page, where new tasks are if the list shows the newest first;
2. the pages that showed wanted tasks in the sweep before: tasks move slowly through the list;
3. the end of the list, where new tasks are if it shows the oldest first. Finding it takes ten requests, so it happens
   only if many tasks are missing and nothing was found elsewhere, and only every few minutes;
4. while many tasks are missing, one page further with each sweep.

A page that shows a wanted task leads to its neighbours. Tasks that no page shows are queried singly by the caller.
`whole_up_to` asks for more: whether the list has a task at all is known only if the whole list was read. A page that is
shorter than asked for may be the last one, or the server may cap the size of pages. It counts as the last one if nothing is
behind it, or if it shows all that earlier sweeps have shown of a list that was read to its end.

Pure: `ListReader.pages` is a generator of the pages to read, and gets what each has shown. Places in the list are counted in
tasks, because the size of pages differs from sweep to sweep.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import NamedTuple, TypeVar

from airflow_provider_kling.api import MAX_PAGE_NUM, MAX_PAGE_SIZE

SMALLEST_PAGE = 30  # tasks
FEW = 10  # missing tasks: querying them singly costs no more than a search in the list
SEARCH_INTERVAL = 300.0  # seconds between two searches for the end of the list


class PageRequest(NamedTuple):
    """A page to read: its number, from 1, and its size in tasks."""

    number: int
    size: int


class PageResult(NamedTuple):
    """How many tasks a page has shown, and how many of them were wanted and not shown before."""

    length: int
    hits: int


T = TypeVar("T")
Pages = Generator[PageRequest, PageResult, T]


class ListReader:
    """Chooses the pages of each sweep, and remembers from sweep to sweep where wanted tasks were found."""

    def __init__(self) -> None:
        self._found: list[tuple[int, int]] = []  # the first and the last place of each page with hits, but for page 1
        self._further = 0  # the place up to which sweeps have searched, page by page
        self._search_at = -math.inf
        self._longest = 0  # the most tasks that a page has shown: the server caps no shorter page than that

    def pages(
        self,
        *,
        wanted: int,
        running: int = 0,
        whole_up_to: int = 0,
        shows_all_known: Callable[[], bool] = lambda: False,
        now: float,
    ) -> Pages[bool]:
        """The pages to read in one sweep; returns whether they are the whole list.

        `wanted` is how many tasks are looked for, and `running` how many may be running in the account. Lists of up to
        `whole_up_to` pages are read whole. `shows_all_known` tells whether they have shown all that is known to be there.
        """
        reading = _Reading(missing=wanted, size=self._page_size(max(wanted, running), whole_up_to))
        yield from reading.read_around(1)
        yield from reading.read_whole(whole_up_to)
        for number in sorted({place // reading.size + 1 for places in self._found for place in places}):
            if reading.missing > 0:
                yield from reading.read_around(number)
        if reading.misses_many and not reading.found_any and now >= self._search_at:
            self._search_at = now + SEARCH_INTERVAL
            last = yield from reading.find_last_page()
            yield from reading.read_around(last)
        if reading.misses_many:
            yield from self._read_further(reading)
        self._found = [reading.places(number) for number in reading.numbers_with_hits if number > 1]
        self._longest = max(self._longest, reading.longest)
        return bool(whole_up_to) and reading.is_whole and (shows_all_known() or (yield from self._ends_behind(reading)))

    def _ends_behind(self, reading: _Reading) -> Pages[bool]:
        """Whether nothing follows the pages that were read, the last of which is shorter than asked for."""
        length = reading.longest
        if not length or reading.last_length < self._longest:
            return True
        # Both a server that caps pages and one that does not start page 2 of this size right behind what page 1 has shown.
        return reading.last_length == length and (yield PageRequest(2, length)).length == 0

    def _page_size(self, tasks: int, whole_up_to: int) -> int:
        if whole_up_to or self._found:
            return MAX_PAGE_SIZE
        return min(MAX_PAGE_SIZE, max(SMALLEST_PAGE, 2 * tasks))

    def _read_further(self, reading: _Reading) -> Pages[None]:
        """Read the page behind those of earlier sweeps; from page 2 again after the end of the list."""
        number = max(2, self._further // reading.size + 1)
        yield from reading.read_around(number)
        self._further = number * reading.size if reading.is_full(number) else 0


class _Reading:
    """The pages that one sweep has read, and how many wanted tasks it still misses."""

    def __init__(self, *, missing: int, size: int) -> None:
        self.missing = missing
        self.size = size
        self._read: dict[int, PageResult] = {}

    @property
    def misses_many(self) -> bool:
        """Whether searching the list is worth it: many tasks are missing, and there are more pages than the first."""
        return self.missing > FEW and self.is_full(1)

    @property
    def found_any(self) -> bool:
        return bool(self.numbers_with_hits)

    @property
    def numbers_with_hits(self) -> list[int]:
        return [number for number, page in self._read.items() if page.hits]

    @property
    def longest(self) -> int:
        """The most tasks that a page has shown."""
        return max(page.length for page in self._read.values())

    @property
    def last_length(self) -> int:
        """The number of tasks on the last page that was read."""
        return self._read[max(self._read)].length

    @property
    def is_whole(self) -> bool:
        """Whether the pages that were read are the whole list, if the server does not cap pages."""
        last = max(self._read)
        return self.is_last(last) and set(self._read) == set(range(1, last + 1))

    def is_full(self, number: int) -> bool:
        """Whether this page was read and holds as many tasks as asked for, so that another page may follow."""
        return number in self._read and self._read[number].length == self.size

    def is_last(self, number: int) -> bool:
        """Whether the list ends with this page. A page that is longer than asked for is neither full nor the last."""
        return self._read[number].length < self.size

    def places(self, number: int) -> tuple[int, int]:
        """The places in the list of a page's first and last task."""
        return (number - 1) * self.size, number * self.size - 1

    def read(self, number: int) -> Pages[int]:
        """Read a page unless it was read; returns its hits."""
        if not 1 <= number <= MAX_PAGE_NUM:
            return 0
        if number not in self._read:
            self._read[number] = yield PageRequest(number, self.size)
            self.missing -= self._read[number].hits
        return self._read[number].hits

    def read_around(self, number: int) -> Pages[None]:
        """Read a page, and its neighbours on both sides as long as they show wanted tasks and some are missing."""
        for step in (1, -1):
            at = number
            while self.missing > 0 and (yield from self.read(at)) and (step == -1 or not self.is_last(at)):
                at += step
        yield from self.read(number)

    def read_whole(self, most: int) -> Pages[None]:
        """Read the list from its start to its end, or to its page number `most`."""
        number = 2
        while number <= most and self.is_full(number - 1):
            yield from self.read(number)
            number += 1

    def find_last_page(self) -> Pages[int]:
        """The last page that shows anything, found by bisection."""
        last, beyond = 1, MAX_PAGE_NUM + 1
        while beyond - last > 1:
            middle = (last + beyond) // 2
            yield from self.read(middle)
            if self._read[middle].length:
                last = middle
            else:
                beyond = middle
        return last
