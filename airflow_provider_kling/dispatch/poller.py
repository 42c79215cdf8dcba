"""Who is done: all that wait for tasks of an account on one event loop share one poller.

A look at the list of tasks answers for hundreds, what it does not show is asked singly (`pages` says what is worth
reading), and the looks come when they can be worth it (`pace`), for whoever waits for a task and for whoever waits for its
slot. Its lines go to the log of the process; what concerns one task is said by whoever waits for it, in its own log.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from airflow_provider_kling.api import MAX_PAGE_SIZE, Call, Page, Task, get_call, page_call
from airflow_provider_kling.client import Log, Watch, flows
from airflow_provider_kling.dispatch.durations import SHORTEST_INTERVAL, DurationModel
from airflow_provider_kling.dispatch.list_reader import ListReader
from airflow_provider_kling.dispatch.slots import Slots
from airflow_provider_kling.errors import KlingAnswerError, KlingError, KlingTaskNotFound

T = TypeVar("T")
log = logging.getLogger(__name__)

LONGEST_SLEEP = 3600.0  # seconds
PAGE_SECONDS = 0.5  # no more than one page for so many seconds, in the long run
REST = 0.1  # seconds for each request of a look, until those who came meanwhile are looked for, all together
PAGES_FOR_ABSENCE = 2  # an account with more tasks than these hold is not read for what it does not have
ABSENCE_TOGETHER, ABSENCE_INTERVAL = 0.2, 2.0  # seconds: submissions that come together are looked for together; …
ABSENCE_QUEUED = 10.0  # … with the next look for free slots, where others stand in the queue for them already
REPLAN = 0.02  # seconds: creates may be faster than it is worth to reckon anew after each
SINGLES_AT_ONCE = 8
MOST_SINGLES = 40  # in one look, of those that the pages did not show
FORGOTTEN_AFTER = 6 * 3600.0  # seconds after which a task that nobody waits for is no longer looked for
CHUNK = 500  # waiters that are served in one go, before others get their turn on the event loop


class Asker(Protocol):
    """What a poller needs of a hook."""

    async def acall(self, call: Call[T], *, tries: int = ...) -> T: ...


@dataclass(eq=False)
class _Waiter:
    """Somebody who waits for a task, and what the last look has brought."""

    poll_interval: float
    deadline: float
    news: Task | KlingError | None = None
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, news: Task | KlingError | None) -> None:
        self.news = news
        self.told.set()

    async def hear(self) -> Task | KlingError | None:
        await self.told.wait()
        self.told.clear()
        return self.news


@dataclass(eq=False)
class _Known:
    """A task that is waited for, or holds a slot that somebody waits for."""

    any_id: str
    since: float  # when it was created, or first heard of
    due: float  # when a look at it is worth it
    status: str = ""
    looked: float = 0.0
    waiters: list[_Waiter] = field(default_factory=list)


class Poller:
    """Looks for the tasks of an account that somebody waits for, or whose slots somebody waits for.

    `freed` is called when slots may have become free, `broken` with an error that no later look will mend.
    """

    def __init__(self, asker: Asker, slots: Slots, *, freed: Callable[[], None], broken: Callable[[KlingError], None]) -> None:
        self.pace = DurationModel()
        self.slots = slots
        self.creating: set[str] = set()  # external ids of creates that are not yet answered
        self._asker = asker
        self._freed, self._broken = freed, broken
        self._known: dict[str, _Known] = {}
        self._asked: list[tuple[str, asyncio.Future[bool]]] = []  # external ids: does the account lack them?
        self._asked_at = 0.0
        self._too_many = False  # the account holds more tasks than are read for that
        self._pages = ListReader()
        self._overdue: list[_Waiter] = []
        self._next = float("inf")
        self._planned, self._for_slots = 0.0, False  # when, and whether free slots are looked for
        self._requests = 0  # of the look that is under way
        self._rest_until = 0.0
        self._trouble = 0
        self._refused = False  # a create, since the last look
        self._woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # --- For those who wait

    async def wait(
        self, kling_task_id: str, *, deadline: float, poll_interval: float, say: Log, first_look: float = 0.0, status: str = ""
    ) -> Task:
        """The task, once it has succeeded or failed; see `flows.wait`. Looks may come sooner than asked for."""
        now = time.time()
        watch = Watch(kling_task_id, started=now, deadline=deadline, status=status, say=say)
        new = kling_task_id not in self._known
        known = self.know(kling_task_id, status=status)
        soonest = known.since + poll_interval
        due = soonest if self._contested and not known.waiters else min(known.due, soonest)
        known.due = max(first_look, max(now, self._rest_until) if new else due)
        waiter = _Waiter(poll_interval, deadline)
        known.waiters.append(waiter)
        self._look_by(known.due)
        timer = asyncio.get_running_loop().call_later(max(0.0, deadline - now), self._look_last, known, waiter)
        try:
            while True:
                news = await waiter.hear()
                if isinstance(news, Task):
                    if watch.saw(news):
                        return news
                elif news is not None:
                    watch.missed(news)
                if time.time() >= deadline:
                    raise watch.expired(time.time())
        finally:
            timer.cancel()
            known.waiters.remove(waiter)

    async def lacks(self, external_id: str) -> bool:
        """Whether the account certainly has no task of this id: one look at a short list answers for many submissions."""
        if self._too_many:
            return False
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.append((external_id, answer))
        self._look_by(max(time.time() + ABSENCE_TOGETHER, self._absence_look()))
        return await answer

    def refused(self) -> None:
        """A create was refused: what others hold is to be seen now, it tells how many slots there are."""
        self._refused = True

    async def survive(self) -> None:
        """Run until cancelled; a mistake of this module is not to leave others waiting forever."""
        try:
            await self._run()
        except Exception as error:
            log.exception("The dispatcher has failed.")
            failure = KlingError(f"The dispatcher has failed: {type(error).__name__}: {error}.")
            await self._missed(failure, self._known.values())
            _answer(self._asked)

    # --- Looking

    def know(self, kling_task_id: str, *, status: str = "", since: float | None = None) -> _Known:
        """Look for this task from now on: it holds a slot."""
        known = self._known.get(kling_task_id)
        if known is None:
            since = time.time() if since is None else since
            due = since + self.pace.first_look
            known = self._known[kling_task_id] = _Known(kling_task_id, since=since, due=due, status=status)
            self.slots.hold(kling_task_id)
        return known

    def wake(self) -> None:
        """Let `survive` see what is planned now."""
        if not self._woken.done():
            self._woken.set_result(None)

    def _look_by(self, when: float) -> None:
        if when < self._next:
            self._next = when
            self.wake()

    def _look_last(self, known: _Known, waiter: _Waiter) -> None:
        """A deadline has come: whoever waits sees how things stand, and goes."""
        known.due = 0.0
        self._overdue.append(waiter)
        self._look_by(0.0)

    def plan(self) -> None:
        """Reckon anew when the next look is worth it."""
        now = time.time()
        self._planned, self._for_slots = now, self._contested
        if self._trouble:
            pause = min(SHORTEST_INTERVAL * 2.0**self._trouble, flows.LONGEST_TROUBLE_PAUSE)
            self._next = now + pause
            self.wake()
            return
        times = [known.due for known in self._known.values() if known.waiters]
        if self._asked:
            times.append(max(now, self._absence_look()))
        if self._for_slots:
            times.append(now if self._refused else self._contested_look(now))
        self._next = min(times, default=float("inf"))
        self.wake()

    def slots_moved(self) -> None:
        """Somebody came for a slot, or has one: that changes when a look for free ones is worth it, and nothing else."""
        if self._for_slots and not self._contested:  # only those who wait for tasks are left
            now, interval = time.time(), self._interval(self._known.values())
            for known in self._known.values():
                if known.looked:  # else it is young, and has its time of a first look
                    known.due = min(known.due, now + interval)
            self.plan()
            return
        just_planned = self._for_slots and not self._refused and time.time() < self._planned + REPLAN
        if self.slots.short and not just_planned:
            self.plan()

    @property
    def _contested(self) -> bool:
        """Whether somebody waits for the end of a task that is known here."""
        return bool(self.slots.short and self.slots.ours)

    def _absence_look(self) -> float:
        """From when on a look is worth it for submissions that may have been made before."""
        return self._asked_at + (ABSENCE_QUEUED if self._contested else ABSENCE_INTERVAL)

    def _contested_look(self, now: float) -> float:
        """When a look is worth it for the slots that it may find free."""
        ages = [max(0.0, now - known.since) for known in self._known.values() if known.any_id in self.slots.ours]
        return now + self.pace.contested_look(ages, wanted=self.slots.waiting)

    async def _run(self) -> None:
        while True:
            if self._woken.done():
                self._woken = asyncio.get_running_loop().create_future()
            now = time.time()
            wake_at = self.slots.wake_at(now)
            soonest = self._next if wake_at is None or wake_at <= now else min(self._next, wake_at)
            if soonest > now:
                # Not `wait_for`: on Python 3.10 and 3.11 it loses a cancellation that comes together with the event.
                await asyncio.wait([self._woken], timeout=min(soonest - now, LONGEST_SLEEP))
            self._freed()
            if time.time() >= self._next:
                await self._look()
                self.plan()

    async def _look(self) -> None:
        now = time.time()
        contested, self._refused = self.slots.short, False
        wanted = {
            known.any_id: known
            for known in self._known.values()
            if known.due <= now + 0.05 or (contested and known.any_id in self.slots.ours)
        }
        # Whoever is looked for anyway costs nothing more on the same page.
        if len(wanted) > 1:
            wanted = {id_: known for id_, known in self._known.items() if known.waiters or id_ in wanted}
        asked, self._asked = self._asked, []
        self._requests = 0
        try:
            # Who waits for a slot wants to see what others hold, too; for one task a page costs no more than itself.
            if asked or contested or len(wanted) > 1:
                missing = await self._sweep(wanted, asked, now)
            else:
                missing = list(wanted.values())
            await self._ask_singly(missing)
        except KlingError as error:
            await self._missed(error, wanted.values())
        else:
            if self._trouble:
                log.info("Kling answers again.")
            self._trouble = 0
        finally:
            _answer(asked)
            for waiter in self._overdue:
                if not waiter.told.is_set():
                    waiter.tell(None)
            self._overdue.clear()
        self._rest_until = time.time() + REST * self._requests
        self._reschedule(wanted.values())

    def _reschedule(self, looked_at: Iterable[_Known]) -> None:
        """When a look at these is worth it again for those who just wait for them.

        While others wait for slots, the looks for these serve all, and come often enough.
        """
        now = time.time()
        left = [known for known in looked_at if known.any_id in self._known]
        interval = LONGEST_SLEEP if self._contested else self._interval(left)
        shortest = PAGE_SECONDS * len(left) / MAX_PAGE_SIZE
        for known in left:
            known.looked = now
            longest = min((waiter.poll_interval for waiter in known.waiters), default=interval)
            known.due = now + max(shortest, min(interval, longest))
            if not known.waiters and now - known.since > FORGOTTEN_AFTER:
                self._forget(known)

    def _interval(self, tasks: Iterable[_Known]) -> float:
        now = time.time()
        return self.pace.interval([max(0.0, now - known.since) for known in tasks])

    async def _sweep(self, wanted: dict[str, _Known], asked: list[tuple[str, asyncio.Future[bool]]], now: float) -> list[_Known]:
        """Read pages of the list; those that it did not show."""
        missing = dict(wanted)
        external_ids: set[str] = set()
        ended_before: list[float] = []
        others = 0

        async def fetch(number: int, size: int) -> Page:
            self._requests += 1
            return await self._asker.acall(page_call(page_num=number, page_size=size), tries=2)

        def saw(task: Task) -> bool:
            nonlocal others
            if asked and task.external_task_id:
                external_ids.add(task.external_task_id)
            known = self._known.get(task.kling_task_id) or self._known.get(task.external_task_id or "")
            if known is None:
                others += not task.done and task.external_task_id not in self.creating
                if task.done and (took := _between(task.created_at, task.updated_at)) is not None:
                    ended_before.append(took)
                return False
            self._saw(known, task)
            return missing.pop(known.any_id, None) is not None

        whole_up_to = PAGES_FOR_ABSENCE if asked else 0
        whole = await self._pages.read(
            fetch, saw, wanted=len(missing), running=self.slots.limit or 0, whole_up_to=whole_up_to, now=now
        )
        if asked:
            self._asked_at = now
            self._too_many = not whole
            for external_id, answer in asked:
                if not answer.done():
                    answer.set_result(whole and external_id not in external_ids)
        if ended_before and self.pace.expected is None:
            self.pace.ended_before(ended_before)
        self.slots.saw_others(others)
        self._freed()
        return list(missing.values())

    async def _ask_singly(self, missing: list[_Known]) -> None:
        """Ask for each of these, those first that were not seen for the longest time."""
        missing.sort(key=lambda known: known.looked)
        at_once = asyncio.Semaphore(SINGLES_AT_ONCE)

        async def ask(known: _Known) -> None:
            async with at_once:
                self._requests += 1
                try:
                    self._saw(known, await self._asker.acall(get_call(known.any_id), tries=2))
                except (KlingTaskNotFound, KlingAnswerError) as error:  # a matter of this task alone
                    self._tell(known, error)
                    if not known.waiters:
                        self._forget(known)

        outcomes = await asyncio.gather(*map(ask, missing[:MOST_SINGLES]), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    def _saw(self, known: _Known, task: Task) -> None:
        changed = task.status != known.status
        known.status = task.status
        if task.done:
            self.pace.ended(_took(task, known))
            self.slots.typical = self.pace.typical or 0.0
            self._forget(known)
            self._freed()
        if changed or task.done or known.due == 0.0:
            self._tell(known, task)

    def _tell(self, known: _Known, what: Task | KlingError | None) -> None:
        for waiter in known.waiters:
            waiter.tell(what)

    def _forget(self, known: _Known) -> None:
        self._known.pop(known.any_id, None)
        self.slots.free_up(known.any_id)

    async def _missed(self, error: KlingError, wanted: Iterable[_Known]) -> None:
        """A look has failed: whoever waits decides what that means."""
        self._trouble += 1
        if self._trouble == 1 or not error.retryable:
            log.warning("Kling cannot be asked at the moment: %s", error)
        for number, known in enumerate(list(wanted)):
            self._tell(known, copy.copy(error))
            if number % CHUNK == CHUNK - 1:
                await asyncio.sleep(0)
        if not error.retryable:
            self._broken(error)


def _answer(asked: Iterable[tuple[str, asyncio.Future[bool]]]) -> None:
    """Nobody knows: then no task is certainly lacking."""
    for _, answer in asked:
        if not answer.done():
            answer.set_result(False)


def since(task: Task) -> float | None:
    return task.created_at.timestamp() if task.created_at else None


def _took(task: Task, known: _Known) -> float:
    """Seconds from its creation to its end, by Kling's own clock where it tells."""
    took = _between(task.created_at, task.updated_at)
    return time.time() - known.since if took is None else took


def _between(first: datetime | None, second: datetime | None) -> float | None:
    return (second - first).total_seconds() if first and second else None
