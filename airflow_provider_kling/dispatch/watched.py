"""The tasks that are watched at Kling, and those who wait for them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from airflow_provider_kling.api import Task
from airflow_provider_kling.errors import KlingError

News = Task | KlingError | None  # what a poll brings: the task, an error, or nothing


@dataclass(eq=False)
class Waiter:
    """One caller who waits for a task, and the latest news of it."""

    poll_interval: float  # seconds between two polls that the caller asks for, at most
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
    """A task that somebody waits for, or that holds a slot that somebody waits for. Times are Unix seconds."""

    any_id: str  # its Kling task id or its external id, as it was asked for
    since: float  # when it was created, or when this process learned of it
    due: float  # when a poll of it is worth it; 0 if the deadline of a waiter has come
    status: str = ""
    polled_at: float = 0.0
    waiters: list[Waiter] = field(default_factory=list)

    def notify(self, news: News) -> None:
        """Pass the news on to all who wait."""
        for waiter in self.waiters:
            waiter.notify(news)


def created_at(task: Task) -> float | None:
    """When Kling has created the task, in Unix seconds, if it says so."""
    return task.created_at.timestamp() if task.created_at else None


def duration_of(task: Task) -> float | None:
    """Seconds from the task's creation to its last change, by Kling's clock, if Kling tells both."""
    if task.created_at and task.updated_at:
        return (task.updated_at - task.created_at).total_seconds()
    return None
