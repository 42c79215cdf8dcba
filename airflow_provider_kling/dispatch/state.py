"""All that a dispatcher knows of its account: what it does next follows from this, and from nothing else.

Requests for slots, callers who wait for tasks, and submissions that ask whether their task exists: each of them is here from
its start to its end. Those who use the dispatcher, and polls, only report to this state what has happened. The one loop of
the dispatcher (`loop`) ends what has expired, grants slots and starts polls, and `wakeups` names each time at which it must
look again.

No clock, no network: times are passed in, by the event loop's clock.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

from airflow_provider_kling.api import Task
from airflow_provider_kling.dispatch.absence import AbsenceLookup, AbsenceLookups, answer_unknown
from airflow_provider_kling.dispatch.agenda import Agenda
from airflow_provider_kling.dispatch.durations import DurationModel
from airflow_provider_kling.dispatch.plan import PollPlan
from airflow_provider_kling.dispatch.schedule import Schedule
from airflow_provider_kling.dispatch.slots import SlotRequest, Slots
from airflow_provider_kling.dispatch.sweep import Sweep
from airflow_provider_kling.dispatch.watched import Waiter, WatchedTask, WatchedTasks, duration_of
from airflow_provider_kling.errors import KlingError

LAST_POLL = 0.75  # seconds after the deadline of a caller, for one last poll of its task
SOON = 0.05  # seconds: tasks that are due so soon are polled as well
FORGOTTEN_AFTER = 6 * 3600.0  # seconds after which a task that nobody waits for is no longer polled
LIST_FAILURES = 3  # sweeps in a row, before nobody knows any more what others hold


@dataclass(eq=False)
class Poll:
    """One poll: what it is to find out, and how it has gone."""

    begun_at: float
    wanted: dict[WatchedTask, None]
    lookups: list[AbsenceLookup]
    needs_list: bool  # requests that wait for slots need to know what others hold
    requests: int = 0
    error: KlingError | None = None
    rejected: list[WatchedTask] = field(default_factory=list)  # queries that no other task has anything to do with

    @property
    def sweeps(self) -> bool:
        """Whether it reads the list. For a single task, a page costs as much as a query."""
        return bool(self.lookups) or self.needs_list or len(self.wanted) > 1


class AccountState:
    """The state of one account, in one process. `max_concurrency` is the user's own limit of slots, if any."""

    def __init__(self, max_concurrency: int | None = None) -> None:
        self.durations = DurationModel()
        self.schedule = Schedule(self.durations)
        self.slots = Slots(max_concurrency)
        self.watched = WatchedTasks()
        self.absence = AbsenceLookups()
        self.plan = PollPlan(self.watched, self.slots, self.schedule, self.absence)
        self.creating: set[str] = set()  # external ids of creates that are not answered yet
        self._deadlines: Agenda[SlotRequest | AbsenceLookup | Waiter] = Agenda()
        self._last_polls: set[Waiter] = set()  # their deadlines have come since the last poll began, or before
        self._list_failures = 0

    # --- What the loop does

    def wakeups(self, now: float, *, polling: bool) -> Iterator[float]:
        """Every time at which the loop must look again if nothing happens before."""
        yield self._deadlines.next_at
        yield self.slots.opens_at(now)
        if not polling:
            yield self.plan.poll_at(now)

    def expire(self, now: float) -> None:
        """End what has reached its deadline."""
        for item in self._deadlines.pop_due(now):
            match item:
                case SlotRequest():
                    self.slots.leave(item)
                    self.plan.slots_changed()
                    item.settle()
                case AbsenceLookup():
                    self.absence.withdraw(item)
                    item.resolve(absent=False)
                case Waiter(expired_at=None):
                    self._poll_last(item, now)
                case Waiter():
                    self._release(item)

    def grant(self, now: float) -> None:
        """Let requests create as long as there are slots for them."""
        while request := self.slots.grant(now):
            self._deadlines.discard(request)
            self.plan.slots_changed()
            request.settle()

    def poll_is_due(self, now: float) -> bool:
        """Whether a poll is worth it now."""
        return self.plan.poll_at(now) <= now

    # --- Requests for slots

    def join(self, request: SlotRequest, *, deadline: float) -> None:
        """Queue a request, at most until its deadline."""
        self.slots.join(request)
        self._deadlines.put(request, deadline)
        self.plan.slots_changed()

    def leave(self, request: SlotRequest) -> None:
        """A request is over, in the queue or with a grant that it has not used."""
        self.slots.leave(request)
        self._deadlines.discard(request)
        self.plan.slots_changed()

    def accepted(self, request: SlotRequest, task: Task, external_id: str, *, now: float) -> None:
        """The create of this request has made a task."""
        self.slots.accept(request, self.watch(task, external_id, since=now))
        if self.slots.surprised:
            self.plan.limit_is_wrong()
        self.plan.slots_changed()

    def refused(self, request: SlotRequest, *, now: float) -> None:
        """Kling has refused the create of this request for want of a slot."""
        self.slots.refuse(request, now=now)
        self.plan.limit_is_wrong()
        self.plan.slots_changed()

    # --- Lookups of absence

    def ask(self, external_id: str, *, now: float, deadline: float) -> AbsenceLookup:
        """Ask whether it is certain that the list has no task of this id; the lookup's future brings the answer."""
        lookup = self.absence.add(external_id, now=now)
        self._deadlines.put(lookup, deadline)
        return lookup

    def withdraw(self, lookup: AbsenceLookup) -> None:
        """This lookup is answered, or its caller has gone."""
        self.absence.withdraw(lookup)
        self._deadlines.discard(lookup)

    # --- Tasks, and those who wait for them

    def watch(self, task: Task, external_id: str | None, *, since: float) -> WatchedTask:
        """Poll this task from now on: it holds a slot."""
        same = self._merge(task)
        watched = same[0] if same else self._new(task.kling_task_id, since=since, status=task.status)
        watched.kling_task_id = task.kling_task_id
        self.watched.add(watched, task.external_task_id, external_id)
        return watched

    def add_waiter(self, waiter: Waiter, any_id: str, *, first_poll: float, status: str, now: float) -> None:
        """This caller waits for the task with this Kling task id or external id."""
        known = self.watched.find(any_id)
        task = known or self._new(any_id, since=now, status=status)
        due = self.plan.first_due(task, new=known is None, poll_interval=waiter.poll_interval, now=now)
        due = max(first_poll, due)
        self.plan.poll_by(task, min(due, task.due) if task.waiters else due)
        waiter.task = task
        task.waiters.append(waiter)
        self._deadlines.put(waiter, waiter.deadline)

    def remove_waiter(self, waiter: Waiter) -> None:
        """This caller waits no more."""
        self._deadlines.discard(waiter)
        self._last_polls.discard(waiter)
        if waiter.task is not None:
            waiter.task.waiters.remove(waiter)

    def observe(self, task: Task, now: float, *, asked: WatchedTask | None = None) -> list[WatchedTask]:
        """Take note of a task as it is now, from the list or as the answer for `asked`. Returns what it was watched as.

        Its waiters hear of it if that is new, or if a deadline has come.
        """
        same = self._merge(task, asked)
        if not same:
            return same
        watched = same[0]
        changed, watched.status, watched.seen_at = task.status != watched.status, task.status, now
        if task.done and not watched.ended:
            self._end(watched, task, now)
        if task.succeeded and not task.videos and asked is None and watched.waiters:
            self.plan.poll_by(watched, now)  # the list may leave the videos out; a single query names them
        elif task.done:
            self.watched.remove(watched)
            watched.notify(task)
        elif changed:
            watched.notify(task)
        else:
            for waiter in watched.waiters:
                if waiter.expired_at is not None:
                    waiter.notify(task)
        return same

    def _end(self, watched: WatchedTask, task: Task, now: float) -> None:
        duration = duration_of(task)
        self.durations.add(now - watched.since if duration is None else duration)
        self.slots.fair_share.typical = self.durations.typical or 0.0
        watched.ended = True
        self.slots.free_up(watched)
        self.plan.slots_changed()

    def forget(self, task: WatchedTask) -> None:
        """Watch this task no more."""
        self.watched.remove(task)
        self.slots.free_up(task)
        self.plan.slots_changed()

    def _merge(self, task: Task, asked: WatchedTask | None = None) -> list[WatchedTask]:
        same = self.watched.merge(task, asked)
        for other in same[1:]:
            self.slots.free_up(other)
            self.plan.slots_changed()
        return same

    def _new(self, any_id: str, *, since: float, status: str) -> WatchedTask:
        task = WatchedTask(any_id, since=since, due=since + self.schedule.first_poll, status=status)
        self.watched.add(task)
        self.slots.hold(task)
        self.plan.slots_changed()
        return task

    def _poll_last(self, waiter: Waiter, now: float) -> None:
        """A deadline has come. One last poll may follow, so that the waiter leaves with the latest status."""
        waiter.expired_at = now
        self._last_polls.add(waiter)
        self._deadlines.put(waiter, now + LAST_POLL)
        if waiter.task is not None:
            self.plan.poll_by(waiter.task, now)

    def _release(self, waiter: Waiter) -> None:
        self._last_polls.discard(waiter)
        self._deadlines.discard(waiter)
        if not waiter.notified.is_set():
            waiter.notify(None)

    # --- Polls

    def begin_poll(self, now: float) -> Poll:
        """What the poll that begins now is to find out: the tasks that are due, and while slots are short those that hold one."""
        short = self.slots.short
        wanted = [task for task in self.watched if task.due <= now + SOON or (short and task in self.slots.ours)]
        if len(wanted) > 1:  # the same pages may show all others that somebody waits for, at no cost
            wanted += self.watched.waited_for()
        self.plan.poll_began()
        return Poll(now, dict.fromkeys(wanted), self.absence.take(), needs_list=short)

    def swept(self, sweep: Sweep, poll: Poll, *, now: float) -> None:
        """The list was read."""
        self._list_failures = 0
        if poll.lookups:
            self.absence.answer(poll.lookups, sweep, begun_at=poll.begun_at)
        if sweep.durations and self.durations.expected is None:
            self.durations.add_history(sweep.durations)
        self.slots.saw_others(sweep.others, now=now)
        self.plan.slots_changed()

    def sweep_failed(self) -> int:
        """The list could not be read; returns how often in a row."""
        self._list_failures += 1
        if self._list_failures >= LIST_FAILURES:
            self.slots.forget_others()
        return self._list_failures

    def end_poll(self, poll: Poll, *, now: float) -> None:
        """A poll has ended. Those whose deadline came before it began have had their last one."""
        answer_unknown(poll.lookups)
        for waiter in [waiter for waiter in self._last_polls if poll.error or (waiter.expired_at or 0.0) <= poll.begun_at]:
            self._release(waiter)
        if poll.error is None:
            self.plan.failures = 0
        else:
            self.plan.poll_failed(now=now, retry_after=getattr(poll.error, "retry_after", None) or 0.0)
        self.plan.poll_ended(requests=poll.requests, failed=poll.error is not None, now=now)
        remaining = [task for task in poll.wanted if task in self.watched]
        self.plan.reschedule(remaining, now)
        for task in remaining:
            if not task.waiters and (task in poll.rejected or now - task.since > FORGOTTEN_AFTER):
                self.forget(task)

    def end_all(self, error: KlingError) -> None:
        """An error that no later poll will mend ends all waits for slots, for tasks and for answers."""
        for request in self.slots.leave_all():
            self._deadlines.discard(request)
            request.settle(copy.copy(error))
        for task in list(self.watched):
            task.notify(copy.copy(error))
        self.absence.give_up()
        self.plan.slots_changed()
