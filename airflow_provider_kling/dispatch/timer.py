"""When the next poll is due: one time, planned from all who wait.

Three groups wait, and one poll serves them all: callers who wait for a task (each task has its own `due`), requests that
wait for a slot, and submissions that ask whether their task exists. The plan is made anew when one of them changes; the
arithmetic is in `schedule`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Iterator, Mapping

from airflow_provider_kling.api import MAX_PAGE_SIZE
from airflow_provider_kling.client import flows
from airflow_provider_kling.dispatch.absence import AbsenceLookups
from airflow_provider_kling.dispatch.schedule import SHORTEST_INTERVAL, Schedule
from airflow_provider_kling.dispatch.slots import Slots
from airflow_provider_kling.dispatch.watched import WatchedTask

LONGEST_SLEEP = 3600.0  # seconds
PAGE_SECONDS = 0.5  # at most one page of the list in so many seconds, in the long run
REST = 0.1  # seconds for each request of a poll: tasks that come meanwhile wait so long, and are polled together
REPLAN = 0.02  # seconds: creates may follow each other faster than a new plan after each is worth


class PollTimer:
    """Plans the next poll, and sleeps until it is due."""

    def __init__(self, watched: Mapping[str, WatchedTask], slots: Slots, schedule: Schedule, absence: AbsenceLookups) -> None:
        self.slots = slots
        self.failures = 0  # polls in a row that failed
        self._watched, self._schedule, self._absence = watched, schedule, absence
        self._next = float("inf")
        self._rest_until = 0.0
        self._planned_at = 0.0
        self._planned_for_slots = False  # whether requests waited for slots then
        self._create_refused = False  # since the last poll
        self._changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def due(self) -> bool:
        """Whether a poll is due now."""
        return time.time() >= self._next

    @property
    def slots_awaited(self) -> bool:
        """Whether requests wait for the end of a task that is watched here."""
        return bool(self.slots.short and self.slots.ours)

    async def sleep(self) -> None:
        """Sleep until a poll is due, a request may be granted a slot, or the plan has changed."""
        if self._changed.done():
            self._changed = asyncio.get_running_loop().create_future()
        now = time.time()
        grant_at = self.slots.wake_at(now)
        wake_at = self._next if grant_at is None or grant_at <= now else min(self._next, grant_at)
        if wake_at > now:
            # Not `wait_for`: on Python 3.10 and 3.11 it loses a cancellation that comes together with the event.
            await asyncio.wait([self._changed], timeout=min(wake_at - now, LONGEST_SLEEP))

    def wake(self) -> None:
        """End the sleep, so that a changed plan is seen."""
        if not self._changed.done():
            self._changed.set_result(None)

    def poll_by(self, when: float) -> None:
        """Poll at this time, if no earlier poll is planned."""
        if when < self._next:
            self._next = when
            self.wake()

    # --- What changes the plan

    def poll_began(self) -> None:
        """A poll has begun, so no refused create asks for one any more."""
        self._create_refused = False

    def poll_ended(self, *, requests: int) -> None:
        """A poll has ended that took so many requests; new tasks wait a moment for the next one."""
        self._rest_until = time.time() + REST * requests

    def create_refused(self) -> None:
        """A create was refused, so a poll is worth it at once: what others hold tells how many slots there are."""
        self._create_refused = True

    def slots_changed(self) -> None:
        """A request has come, or has got its slot. Plan anew if that changes when a poll for free slots is worth it."""
        if self._planned_for_slots and not self.slots_awaited:
            self._resume_intervals()
            self.plan()
            return
        just_planned = self._planned_for_slots and not self._create_refused and time.time() < self._planned_at + REPLAN
        if self.slots.short and not just_planned:
            self.plan()

    def _resume_intervals(self) -> None:
        """The last request has its slot. Until now its polls served all who wait for tasks; these now need their own."""
        now, interval = time.time(), self._interval(self._watched.values())
        for task in self._watched.values():
            if task.polled_at:  # otherwise it is young, and the time of its first poll stays
                task.due = min(task.due, now + interval)

    # --- The plan

    def plan(self) -> None:
        """Find out when the next poll is worth it."""
        now = time.time()
        self._planned_at, self._planned_for_slots = now, self.slots_awaited
        if self.failures:
            self._next = now + min(SHORTEST_INTERVAL * 2.0**self.failures, flows.LONGEST_TROUBLE_PAUSE)
        else:
            self._next = min(self._times(now), default=float("inf"))
        self.wake()

    def _times(self, now: float) -> Iterator[float]:
        """When a poll is worth it, for each of those who wait."""
        yield from (task.due for task in self._watched.values() if task.waiters)
        if self._absence.pending:
            yield max(now, self.absence_due())
        if self._planned_for_slots:
            yield now if self._create_refused else self._slot_poll(now)

    def absence_due(self) -> float:
        """From when on a sweep is worth it for submissions whose tasks may exist."""
        return self._absence.due(slots_awaited=self.slots_awaited)

    def _slot_poll(self, now: float) -> float:
        """When a poll is worth it for the slots that it may find free."""
        ages = [max(0.0, now - task.since) for task in self._watched.values() if task.any_id in self.slots.ours]
        return now + self._schedule.slot_poll(ages, wanted=self.slots.waiting)

    # --- When single tasks are due

    def first_due(self, task: WatchedTask, *, new: bool, poll_interval: float, now: float) -> float:
        """When a poll of a task is due once one more caller waits for it."""
        if new:
            return max(now, self._rest_until)
        latest = task.since + poll_interval
        if self.slots_awaited and not task.waiters:
            return latest  # the polls for slots come anyway, so the task needs no early first poll
        return min(task.due, latest)

    def reschedule(self, polled: Collection[WatchedTask]) -> None:
        """Set when the next poll of these tasks is due, which were just polled and are not done.

        While requests wait for slots, polls for these serve all, and come often enough.
        """
        now = time.time()
        interval = LONGEST_SLEEP if self.slots_awaited else self._interval(polled)
        shortest = PAGE_SECONDS * len(polled) / MAX_PAGE_SIZE
        for task in polled:
            task.polled_at = now
            longest = min((waiter.poll_interval for waiter in task.waiters), default=interval)
            task.due = now + max(shortest, min(interval, longest))

    def _interval(self, tasks: Iterable[WatchedTask]) -> float:
        now = time.time()
        return self._schedule.interval([max(0.0, now - task.since) for task in tasks])
