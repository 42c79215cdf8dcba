"""What sweeps of an account's list of tasks find: ends that nobody has reported.

Pure. `Sweeps` says which pages to read and which tasks to query, is told what they show, and returns the ends to report.
The list's order is documented nowhere: it is read off the list itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Generator, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from airflow_provider_kling.api import MAX_PAGE_NUM, MAX_PAGE_SIZE, Task

MOST_PAGES = 40  # of one sweep, 20,000 tasks; a list that shows the oldest first is read to its end
MOST_QUERIES = 20  # of one sweep: tasks that ran when they were last seen, and that no page has shown since
MARGIN = timedelta(minutes=15)  # by which a task may show later than it was changed
KEPT = timedelta(days=3)  # for which it is remembered what was reported


class Shown(NamedTuple):
    """What a page has shown. `length` counts all its entries, also those that this version cannot read."""

    tasks: list[Task]
    length: int


Pages = Generator[int, Shown, None]


class Sweeps:
    """The sweeps of one account. `since`: ends before that time are no news."""

    def __init__(self, since: datetime, *, page_size: int = MAX_PAGE_SIZE) -> None:
        self.page_size = page_size
        self._since = since
        self._newest: datetime | None = None  # create time of the newest task that a finished sweep has shown
        self._order: int | None = None  # 1: the newest first, -1: the oldest first, 0: neither
        self._last_page = 1
        self._running: dict[str, None] = {}  # in the order in which they were last seen
        self._ended: dict[str, Task] = {}  # and not reported yet
        self._reported: dict[str, datetime] = {}
        self._shown: Collection[str] = ()  # by the last sweep

    def pages(self) -> Pages:
        """The numbers of the pages to read in one sweep, each of `page_size` tasks."""
        number = self._last_page if self._order == -1 else 1
        shown: list[Task] = []
        while number <= MAX_PAGE_NUM:
            page = yield number
            shown += page.tasks
            self._see(page.tasks)
            if page.length < self.page_size or self._may_stop(number, page.tasks, shown):
                break
            number += 1
        self._last_page = max(1, number)
        self._judge(shown)
        self._newest = max((task.created_at for task in shown if task.created_at), default=self._newest)
        self._shown = {task.kling_task_id for task in shown}

    def to_query(self) -> list[str]:
        """The running tasks that the last sweep has not shown, those first that were not seen for the longest time."""
        return [task_id for task_id in self._running if task_id not in self._shown][:MOST_QUERIES]

    def queried(self, task_id: str, task: Task | None) -> None:
        """The answer to a query: the task, or None if Kling does not know it any more."""
        self._running.pop(task_id, None)
        if task is not None:
            self._see([task])

    def ends(self, now: datetime, grace: timedelta) -> list[Task]:
        """The ends that were not reported and are at least `grace` old, in the order in which they came."""
        ripe = [task for task in self._ended.values() if (task.updated_at or now) <= now - grace]
        return sorted(ripe, key=lambda task: task.updated_at or now)

    def report(self, tasks: Iterable[Task], now: datetime) -> None:
        """These ends are reported, by this sweep or by somebody else."""
        for task in tasks:
            self._ended.pop(task.kling_task_id, None)
            self._reported[task.kling_task_id] = task.updated_at or now
        for task_id in [task_id for task_id, ended_at in self._reported.items() if ended_at < now - KEPT]:
            del self._reported[task_id]

    def finish(self, started: datetime) -> datetime:
        """A sweep that began then is over, and all its ends are reported. Returns the time from which the next one goes on."""
        waiting = [task.updated_at for task in self._ended.values() if task.updated_at]
        self._since = max(self._since, min([started - MARGIN, *waiting]))
        return self._since

    def _may_stop(self, number: int, page: list[Task], shown: list[Task]) -> bool:
        """Whether what stands behind this page is known, or too much to read."""
        self._judge(shown)
        if self._order == -1:
            return False
        return number >= MOST_PAGES or (self._order == 1 and self._newest is not None and not any(map(self._is_new, page)))

    def _judge(self, shown: list[Task]) -> None:
        """Take the order from what the list shows. Two tasks may look sorted by chance; what contradicts it counts."""
        seen = _order_of(shown)
        if seen is not None:
            self._order = seen if self._order in (None, seen) else 0

    def _is_new(self, task: Task) -> bool:
        return self._newest is None or task.created_at is None or task.created_at > self._newest

    def _see(self, tasks: Collection[Task]) -> None:
        for task in tasks:
            self._running.pop(task.kling_task_id, None)
            if not task.done:
                self._running[task.kling_task_id] = None
            elif task.kling_task_id not in self._reported and (task.updated_at is None or task.updated_at >= self._since):
                self._ended[task.kling_task_id] = task


def _order_of(tasks: list[Task]) -> int | None:
    """How these tasks are sorted by their create times: see `Sweeps._order`. None if they do not tell."""
    times = [task.created_at for task in tasks if task.created_at]
    pairs = list(itertools.pairwise(times))
    if not any(first != second for first, second in pairs):
        return None
    return 1 if all(first >= second for first, second in pairs) else -1 if all(first <= second for first, second in pairs) else 0
