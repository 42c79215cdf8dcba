"""Which pages of the list are read: no network, the list is a Python list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from airflow_provider_kling.api import MAX_PAGE_NUM, MAX_PAGE_SIZE
from airflow_provider_kling.dispatch.list_reader import SEARCH_INTERVAL, SMALLEST_PAGE, ListReader, PageResult

OLD = "old"
SEARCH = 10  # requests of a bisection of all pages


class TaskList:
    """A list of names, read as a sweep does it."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self.reader = ListReader()
        self.pages: list[int] = []  # of the last sweep
        self.size = 0
        self.whole = False
        self.cap, self.pages_by_cap = MAX_PAGE_SIZE, False

    def page(self, number: int, size: int) -> list[str]:
        start = (number - 1) * (min(size, self.cap) if self.pages_by_cap else size)
        return self.names[start : start + min(size, self.cap)]

    def sweep(self, wanted: Iterable[str], *, now: float = 1000.0, **options: Any) -> set[str]:
        """Read the list as the reader says. Returns the wanted names that no page showed."""
        missing, self.pages = set(wanted), []
        pages = self.reader.pages(wanted=len(missing), now=now, **options)
        try:
            number, self.size = next(pages)
            while True:
                self.pages.append(number)
                page = self.page(number, self.size)
                hits = missing & set(page)
                missing -= hits
                number, self.size = pages.send(PageResult(len(page), len(hits)))
        except StopIteration as end:
            self.whole = end.value
        return missing


def many(count: int, name: str = "w") -> list[str]:
    return [f"{name}{number}" for number in range(count)]


def old(count: int) -> list[str]:
    return [OLD] * count


def test_a_page_is_large_enough_for_all_that_are_wanted_or_run():
    tasks = TaskList(many(2))
    assert not tasks.sweep(["w0"])
    assert (tasks.pages, tasks.size) == ([1], SMALLEST_PAGE)
    tasks.sweep(["w0"], running=40)
    assert tasks.size == 80
    tasks.sweep(many(2000))
    assert tasks.size == MAX_PAGE_SIZE


def test_a_list_that_is_not_read_to_its_end_is_not_whole():
    for length in (SMALLEST_PAGE - 1, SMALLEST_PAGE):
        tasks = TaskList(many(length))
        tasks.sweep(["w0"])
        assert tasks.pages == [1]
        assert not tasks.whole


@pytest.mark.parametrize("cap", [10, 30, 499])
@pytest.mark.parametrize("by_cap", [True, False])
def test_a_server_that_caps_pages_makes_no_short_page_a_whole_list(cap, by_cap):
    """Whether it counts pages by its own size or by the one that was asked for."""
    tasks = TaskList(old(cap + 1))
    tasks.cap, tasks.pages_by_cap = cap, by_cap
    for _ in range(3):
        tasks.sweep([], whole_up_to=2)
        assert not tasks.whole


def test_that_a_list_ends_is_asked_once_while_it_shows_all_that_was_known():
    tasks = TaskList(old(20))
    tasks.sweep([], whole_up_to=2)
    assert (tasks.pages, tasks.whole) == ([1, 2], True)
    tasks.names += old(5)
    tasks.sweep([], whole_up_to=2, shows_all_known=lambda: True)
    assert (tasks.pages, tasks.whole) == ([1], True)
    tasks.sweep([], whole_up_to=2)
    assert (tasks.pages, tasks.whole) == ([1, 2], True)
    del tasks.names[10:]  # a page that is shorter than one that was seen is not capped
    tasks.sweep([], whole_up_to=2)
    assert (tasks.pages, tasks.whole) == ([1], True)


def test_an_empty_list_is_whole():
    tasks = TaskList([])
    tasks.sweep([], whole_up_to=2)
    assert (tasks.pages, tasks.whole) == ([1], True)


def test_the_first_page_leads_to_the_next_ones_as_long_as_they_show_wanted_tasks():
    tasks = TaskList(many(1200) + old(5000))
    assert not tasks.sweep(many(1200))
    assert tasks.pages == [1, 2, 3]
    assert not tasks.sweep(many(400))
    assert tasks.pages == [1]


def test_a_few_missing_tasks_are_not_searched_for():
    tasks = TaskList(old(5000) + many(10))
    assert len(tasks.sweep(many(10))) == 10
    assert tasks.pages == [1]


@pytest.mark.parametrize(("length", "read"), [(300, [1, 2]), (900, [1, 2]), (2000, [1, 2])])
def test_a_list_is_read_whole_up_to_a_number_of_pages(length, read):
    tasks = TaskList(old(length))
    tasks.sweep([], whole_up_to=2)
    assert tasks.pages == read
    assert tasks.whole == (length < 1000)


def test_wanted_tasks_at_the_end_of_the_list_are_found_and_remembered():
    tasks = TaskList(old(2000) + many(20))
    assert not tasks.sweep(many(20))
    assert len(tasks.pages) <= 1 + SEARCH + 2
    assert not tasks.sweep(many(20))
    assert tasks.pages == [1, 5]  # pages are the largest from now on


def test_the_end_of_the_list_is_searched_for_once_in_a_while():
    tasks = TaskList(old(2000))
    tasks.sweep(many(20))
    assert len(tasks.pages) > SEARCH
    tasks.sweep(many(20), now=1000 + SEARCH_INTERVAL - 1)
    assert len(tasks.pages) == 2
    tasks.sweep(many(20), now=1000 + SEARCH_INTERVAL)
    assert len(tasks.pages) > SEARCH


@pytest.mark.parametrize(("pages", "read"), [(10, [[1, 3], [1, 4], [1, 5]]), (2, [[1, 3], [1, 2], [1, 3]])])
def test_while_many_are_missing_each_sweep_reads_one_page_further_and_starts_anew_at_the_end(pages, read):
    tasks = TaskList(old(pages * SMALLEST_PAGE))
    tasks.sweep(many(15))  # searches for the end of the list, and reads page 2
    assert read == [tasks.pages for _ in range(3) if tasks.sweep(many(15))]


def test_where_tasks_were_found_their_neighbours_are_read_too():
    tasks = TaskList(old(600) + many(900) + old(600))
    found = set()
    for _ in range(5):
        found |= set(many(900)) - tasks.sweep(many(900))
    assert found == set(many(900))
    assert set(tasks.pages) <= {1, 2, 3, 4}


def test_no_page_is_read_twice_and_none_outside_the_limits_of_the_api():
    tasks = TaskList(old(MAX_PAGE_NUM * SMALLEST_PAGE + 500))
    for second in range(50):
        tasks.sweep(many(15), now=1000.0 * second)
        assert len(set(tasks.pages)) == len(tasks.pages)
        assert min(tasks.pages) >= 1
        assert max(tasks.pages) <= MAX_PAGE_NUM
    assert not tasks.whole
