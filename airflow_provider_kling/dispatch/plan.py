"""When the next poll is due: one time, from all that wait for one.

Three groups wait, and one poll serves them all: callers who wait for a task (each task has its own `due`), requests that
wait for a slot, and submissions that ask whether their task exists. `poll_at` names the time for the state as it is; the
arithmetic is in `schedule`.

Polls for slots are planned from the moment on at which the tasks were last seen (`_since`), not from that of each plan. So
whatever comes meanwhile can only make a poll come sooner; a stream of events cannot put it off for ever.

Pure: times are passed in, by the event loop's clock.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from airflow_provider_kling.api import MAX_PAGE_SIZE
from airflow_provider_kling.client import flows
from airflow_provider_kling.dispatch.absence import AbsenceLookups
from airflow_provider_kling.dispatch.schedule import SHORTEST_INTERVAL, Schedule
from airflow_provider_kling.dispatch.slots import Slots
from airflow_provider_kling.dispatch.watched import WatchedTask, WatchedTasks

LONGEST_INTERVAL = 3600.0  # seconds between two polls of a task, while polls for slots serve those who wait for it
PAGE_SECONDS = 0.5  # at most one page of the list in so many seconds, in the long run
REST = 0.1  # seconds for each request of a poll: tasks that come meanwhile wait so long, and are polled together
REPLAN = 0.02  # seconds: creates may follow each other faster than a new plan after each is worth
LONGEST_SLOT_PAUSE = 300.0  # seconds between two polls while requests wait for slots that our tasks hold, …
LONGEST_PAUSE_WITH_OTHERS = 15.0  # … that others hold, too, …
OTHERS_PAUSE, OTHERS_GROWTH, LONGEST_OTHERS_PAUSE = 1.0, 1.5, 5.0  # … or that only others hold


class PollPlan:
    """Plans the next poll."""

    def __init__(self, watched: WatchedTasks, slots: Slots, schedule: Schedule, absence: AbsenceLookups) -> None:
        self.failures = 0  # polls in a row that failed
        self._watched, self._slots, self._schedule, self._absence = watched, slots, schedule, absence
        self._next_due = math.inf  # no task is due earlier
        self._retry_at = -math.inf  # after a failed poll
        self._rest_until = -math.inf
        self._poll_now = False  # since the last poll, the answer to a create has shown that the limit is wrong
        self._was_awaited = False
        self._since = 0.0  # polls for slots are planned from this time on
        self._slot_poll_at: float | None = None  # None: to be planned
        self._planned_at = -math.inf
        self._others_pause = OTHERS_PAUSE

    @property
    def slots_awaited(self) -> bool:
        """Whether requests wait for the end of a task: one that is watched here, or one of others."""
        return self._slots.short and bool(self._slots.ours or self._slots.others)

    def poll_at(self, now: float) -> float:
        """When the next poll is worth it, as things are; infinity if nobody needs one."""
        self._notice_slots(now)
        at = min(self._due_at(now), self._absence.due(slots_awaited=self._was_awaited), self._slots_at(now))
        return max(at, self._retry_at) if self.failures and at < math.inf else at

    def _due_at(self, now: float) -> float:
        if self._next_due <= now:  # it may be the time of a task that has gone
            self._next_due = min((task.due for task in self._watched.waited_for()), default=math.inf)
        return self._next_due

    # --- For slots

    def _notice_slots(self, now: float) -> None:
        """Take note of the moments from which on requests wait for slots, or do so no more."""
        before, self._was_awaited = self._was_awaited, self.slots_awaited
        if self._was_awaited and not before:
            # Nobody may have polled these tasks for long, or with success: they may have ended meanwhile.
            seen = (max(task.seen_at, task.since) for task in self._watched if task in self._slots.ours)
            self._since, self._slot_poll_at = min(seen, default=now), None
        if before and not self._was_awaited:
            self._resume_intervals(now)

    def _slots_at(self, now: float) -> float:
        if not self._was_awaited:
            return math.inf
        if self._poll_now:
            return now
        if self._slot_poll_at is None:
            if now < self._planned_at + REPLAN:
                return self._planned_at + REPLAN
            self._slot_poll_at, self._planned_at = self._since + self._slot_pause(), now
        return self._slot_poll_at

    def _slot_pause(self) -> float:
        """Seconds from one poll for slots to the next."""
        if not self._slots.ours:
            return self._others_pause
        ages = [max(0.0, self._since - task.since) for task in self._watched if task in self._slots.ours]
        longest = LONGEST_PAUSE_WITH_OTHERS if self._slots.others else LONGEST_SLOT_PAUSE
        return min(longest, self._schedule.slot_poll(ages, wanted=self._slots.waiting))

    def _resume_intervals(self, now: float) -> None:
        """The last request has its slot. Until now its polls served all who wait for tasks; these now need their own."""
        interval = self._interval(self._watched, now)
        for task in self._watched:
            if task.polled_at > -math.inf:  # otherwise it is young, and the time of its first poll stays
                self.poll_by(task, min(task.due, now + interval))

    # --- What changes the plan

    def poll_by(self, task: WatchedTask, at: float) -> None:
        """Poll this task at this time, or sooner."""
        task.due = at
        self._next_due = min(self._next_due, at)

    def slots_changed(self) -> None:
        """A request has come or gone, or a task has taken or freed a slot."""
        self._slot_poll_at = None

    def limit_is_wrong(self) -> None:
        """A create was refused, or accepted beyond the limit. A poll is worth it at once: it counts what others hold."""
        self._poll_now = True

    def poll_began(self) -> None:
        """A poll has begun, so no answer to a create asks for one any more."""
        self._poll_now = False

    def poll_ended(self, *, requests: int, failed: bool, now: float) -> None:
        """A poll has ended that took so many requests; new tasks wait a moment for the next one."""
        self._rest_until = now + REST * requests
        self._since, self._slot_poll_at = self._since if failed else now, None
        if self._slots.ours or not self.slots_awaited:
            self._others_pause = OTHERS_PAUSE
        else:
            self._others_pause = min(self._others_pause * OTHERS_GROWTH, LONGEST_OTHERS_PAUSE)

    def poll_failed(self, *, now: float, retry_after: float) -> None:
        """A poll has failed: the next one comes later and later, and not before the server asks for it."""
        self.failures += 1
        pause = max(SHORTEST_INTERVAL * 2.0 ** min(self.failures, 10), retry_after)
        self._retry_at = now + min(pause, flows.LONGEST_TROUBLE_PAUSE)

    # --- When single tasks are due

    def first_due(self, task: WatchedTask, *, new: bool, poll_interval: float, now: float) -> float:
        """When a poll of a task is due once one more caller waits for it."""
        if new:
            return max(now, self._rest_until)
        if task.ended:
            return now
        latest = task.since + poll_interval
        if self.slots_awaited and not task.waiters:
            return latest  # the polls for slots come anyway, so the task needs no early first poll
        return min(task.due, latest)

    def reschedule(self, polled: Collection[WatchedTask], now: float) -> None:
        """Set when the next poll of these tasks is due, which were just polled and are not done.

        While requests wait for slots, polls for these serve all, and come often enough.
        """
        interval = LONGEST_INTERVAL if self.slots_awaited else self._interval(polled, now)
        shortest = PAGE_SECONDS * len(polled) / MAX_PAGE_SIZE
        for task in polled:
            task.polled_at = now
            longest = min((waiter.poll_interval for waiter in task.waiters), default=interval)
            pause = SHORTEST_INTERVAL if task.ended else min(interval, longest)
            self.poll_by(task, now + max(shortest, pause))

    def _interval(self, tasks: Iterable[WatchedTask], now: float) -> float:
        return self._schedule.interval([max(0.0, now - task.since) for task in tasks])
