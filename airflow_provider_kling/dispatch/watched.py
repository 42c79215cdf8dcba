"""The tasks that are watched at Kling, and those who wait for them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from airflow_provider_kling.api import Task
from airflow_provider_kling.errors import KlingError

News = Task | KlingError | None  # what a poll brings: the task, an error, or nothing


@dataclass(eq=False)
class Waiter:
    """One caller who waits for a task, and the latest news of it. Times are by the event loop's clock."""

    poll_interval: float  # seconds between two polls that the caller asks for, at most
    deadline: float = math.inf
    task: WatchedTask | None = None
    expired_at: float | None = None  # when its deadline came; from then on it waits for one last poll
    news: News = None
    notified: asyncio.Event = field(default_factory=asyncio.Event)

    def notify(self, news: News) -> None:
        """Wake the caller with news, or with None if there are none and the deadline has come."""
        self.news = news
        self.notified.set()

    async def wait(self) -> News:
        """The next news. Of several that come at once, only the latest count."""
        await self.notified.wait()
        self.notified.clear()
        return self.news


@dataclass(eq=False)
class WatchedTask:
    """A task that somebody waits for, or that holds a slot that somebody waits for. Times are by the event loop's clock."""

    any_id: str  # its Kling task id or its external id, as it was asked for
    since: float  # when it was created, or when this process learned of it
    due: float  # when a poll of it is worth it
    kling_task_id: str | None = None  # once it is known to be that
    status: str = ""
    polled_at: float = -math.inf  # when a poll has last asked for it, with or without success
    seen_at: float = -math.inf  # when Kling has last shown it
    ended: bool = False  # it has been seen done, so it holds no slot; its waiters may still need its videos
    waiters: list[Waiter] = field(default_factory=list)

    @property
    def query_id(self) -> str:
        """The id to query it by."""
        return self.kling_task_id or self.any_id

    def notify(self, news: News) -> None:
        """Pass the news on to all who wait."""
        for waiter in self.waiters:
            waiter.notify(news)


class WatchedTasks:
    """All watched tasks. A task is watched once, whichever of its two ids it is known or asked for by."""

    def __init__(self) -> None:
        self._by_id: dict[str, WatchedTask] = {}
        self._ids: dict[WatchedTask, set[str]] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[WatchedTask]:
        return iter(self._ids)

    def __contains__(self, task: WatchedTask) -> bool:
        return task in self._ids

    def find(self, any_id: str | None) -> WatchedTask | None:
        """The task with this Kling task id or external id, if it is watched."""
        return self._by_id.get(any_id) if any_id else None

    def add(self, task: WatchedTask, *ids: str | None) -> None:
        """Watch a task under its id and these others, where nothing else is watched under them."""
        known = self._ids.setdefault(task, set())
        for any_id in filter(None, (task.any_id, *ids)):
            if self._by_id.setdefault(any_id, task) is task:
                known.add(any_id)

    def merge(self, task: Task, asked: WatchedTask | None = None) -> list[WatchedTask]:
        """Kling has shown a task, in a list or as the answer for `asked`: its ids lead to one watched task from now on.

        Returns those that it was watched as before, the one that stays first; none if it is not watched.
        """
        found = (self.find(task.kling_task_id), self.find(task.external_task_id), asked)
        # An account may have had two tasks of one external id: then only the Kling task id tells.
        known = (None, task.kling_task_id)
        same = list(dict.fromkeys(each for each in found if each is not None and each.kling_task_id in known))
        if same:
            stays = same[0]
            for other in same[1:]:
                self._join(other, stays)
            stays.kling_task_id = task.kling_task_id
            self.add(stays, task.kling_task_id, task.external_task_id)
        return same

    def _join(self, other: WatchedTask, stays: WatchedTask) -> None:
        ids = set(self._ids.get(other, ()))
        self.remove(other)
        self.add(stays, *ids)
        stays.waiters += other.waiters
        for waiter in other.waiters:
            waiter.task = stays
        stays.due, stays.seen_at = min(stays.due, other.due), max(stays.seen_at, other.seen_at)
        stays.ended = stays.ended or other.ended

    def remove(self, task: WatchedTask) -> None:
        """Watch this task no more."""
        for any_id in self._ids.pop(task, ()):
            del self._by_id[any_id]

    def waited_for(self) -> Iterable[WatchedTask]:
        """The tasks that somebody waits for."""
        return (task for task in self._ids if task.waiters)


def duration_of(task: Task) -> float | None:
    """Seconds from the task's creation to its last change, by Kling's clock, if Kling tells both."""
    if task.created_at and task.updated_at:
        return (task.updated_at - task.created_at).total_seconds()
    return None
