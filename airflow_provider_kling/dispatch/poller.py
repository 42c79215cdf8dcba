"""Who is done: all that wait for tasks of an account on one event loop share one poller.

A task takes minutes, and hundreds may wait in one triggerer. A query for each would be thousands of requests for nothing,
while one page of the list shows 500 tasks. So a poll is a sweep of the list, which answers for all; tasks that the sweep
does not show are queried singly. `list_reader` chooses the pages, `timer` the moment.

What concerns all goes to the log of the process. What concerns one task goes to the log of those who wait for it.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_kling.api import Call, Product, Task, get_call, page_call
from airflow_provider_kling.client import flows
from airflow_provider_kling.dispatch.absence import COLLECT_FOR, PAGES_FOR_ABSENCE, AbsenceLookup, AbsenceLookups, answer_unknown
from airflow_provider_kling.dispatch.durations import DurationModel
from airflow_provider_kling.dispatch.list_reader import ListReader, PageRequest, PageResult
from airflow_provider_kling.dispatch.schedule import Schedule
from airflow_provider_kling.dispatch.slots import Slots
from airflow_provider_kling.dispatch.sweep import Sweep
from airflow_provider_kling.dispatch.timer import PollTimer
from airflow_provider_kling.dispatch.watched import Waiter, WatchedTask, duration_of
from airflow_provider_kling.errors import KlingAnswerError, KlingError, KlingTaskNotFound

if TYPE_CHECKING:
    from airflow_provider_kling.client import AsyncClient

T = TypeVar("T")
logger = logging.getLogger(__name__)

Log = Callable[[str], object]  # writes a line to the log of one who waits

SOON = 0.05  # seconds: tasks that are due so soon are polled as well
POLL_TRIES = 2  # of each request: a poll that fails is soon followed by the next
SINGLES_AT_ONCE = 8
MOST_SINGLES = 40  # queries in one poll, of tasks that the sweep did not show
FORGOTTEN_AFTER = 6 * 3600.0  # seconds after which a task that nobody waits for is no longer polled
CHUNK = 500  # tasks whose waiters are notified in one go, before others get their turn on the event loop


class Poller:
    """Polls the tasks of an account that somebody waits for, or whose slots somebody waits for.

    `freed` is called when slots may have become free, `broken` with an error that no later poll will mend. `creating`
    holds the external ids of creates that are not answered yet; the dispatcher keeps it.
    """

    def __init__(
        self,
        client: AsyncClient,
        product: Product,
        slots: Slots,
        *,
        freed: Callable[[], None],
        broken: Callable[[KlingError], None],
    ) -> None:
        self.durations = DurationModel()
        self.creating: set[str] = set()
        self._client, self._product, self._slots = client, product, slots
        self._freed, self._broken = freed, broken
        self._watched: dict[str, WatchedTask] = {}
        self._schedule = Schedule(self.durations)
        self._absence = AbsenceLookups()
        self.timer = PollTimer(self._watched, slots, self._schedule, self._absence)
        self._list_reader = ListReader()
        self._expired: list[Waiter] = []  # their deadlines have come since the last poll
        self._requests = 0  # of the poll that is under way

    # --- For those who wait

    async def wait(
        self, kling_task_id: str, *, deadline: float, poll_interval: float, log: Log, first_poll: float = 0.0, status: str = ""
    ) -> Task:
        """The task, once it has succeeded or failed; see `flows.wait`. Polls may come sooner than asked for."""
        now = time.time()
        watch = flows.Watch(kling_task_id, started=now, status=status)
        waiter = Waiter(poll_interval)
        task = self._add_waiter(waiter, kling_task_id, first_poll=first_poll, status=status, now=now)
        last_poll = asyncio.get_running_loop().call_later(max(0.0, deadline - now), self._poll_last, task, waiter)
        try:
            while True:
                news = await waiter.wait()
                for message in watch.observe(news) if news is not None else ():
                    log(message)
                if watch.error:
                    raise watch.error
                if watch.task:
                    return watch.task
                if time.time() >= deadline:
                    raise watch.expired(time.time())
        finally:
            last_poll.cancel()
            task.waiters.remove(waiter)

    async def is_absent(self, external_id: str) -> bool:
        """Whether it is certain that the account has no task of this id; one sweep of a short list answers for many ids."""
        if self._absence.too_many_tasks:
            return False
        answer = self._absence.add(external_id)
        self.timer.poll_by(max(time.time() + COLLECT_FOR, self.timer.absence_due()))
        return await answer

    def watch(self, kling_task_id: str, *, status: str = "", since: float | None = None) -> WatchedTask:
        """Poll this task from now on: it holds a slot."""
        task = self._watched.get(kling_task_id)
        if task is None:
            since = time.time() if since is None else since
            task = WatchedTask(kling_task_id, since=since, due=since + self._schedule.first_poll, status=status)
            self._watched[kling_task_id] = task
            self._slots.hold(kling_task_id)
        return task

    async def run(self) -> None:
        """Run until cancelled. A fault in this package must not leave anybody waiting forever, so it ends all waits."""
        try:
            while True:
                await self.timer.sleep()
                self._freed()
                if self.timer.due:
                    await self._poll()
                    self.timer.plan()
        except Exception as error:
            logger.exception("The dispatcher has failed.")
            failure = KlingError(f"The dispatcher has failed: {type(error).__name__}: {error}.")
            await self._failed(failure, self._watched.values())
            self._absence.give_up()

    # --- Waiters

    def _add_waiter(self, waiter: Waiter, kling_task_id: str, *, first_poll: float, status: str, now: float) -> WatchedTask:
        new = kling_task_id not in self._watched
        task = self.watch(kling_task_id, status=status)
        task.due = max(first_poll, self.timer.first_due(task, new=new, poll_interval=waiter.poll_interval, now=now))
        task.waiters.append(waiter)
        self.timer.poll_by(task.due)
        return task

    def _poll_last(self, task: WatchedTask, waiter: Waiter) -> None:
        """A deadline has come. Poll once more, at once, so that the waiter leaves with the latest status."""
        task.due = 0.0
        self._expired.append(waiter)
        self.timer.poll_by(0.0)

    def _release_expired(self) -> None:
        for waiter in self._expired:
            if not waiter.notified.is_set():
                waiter.notify(None)
        self._expired.clear()

    # --- One poll

    async def _poll(self) -> None:
        now, slots_short = time.time(), self._slots.short
        wanted = self._wanted(now, slots_short)
        lookups = self._absence.take()
        self._requests = 0
        self.timer.poll_began()
        try:
            # Requests that wait for a slot need to know what others hold. For a single task, a page costs as much as a query.
            if lookups or slots_short or len(wanted) > 1:
                missing = await self._sweep(wanted, lookups, now)
            else:
                missing = list(wanted.values())
            await self._query_singly(missing)
        except KlingError as error:
            await self._failed(error, wanted.values())
        else:
            if self.timer.failures:
                logger.info("Kling answers again.")
            self.timer.failures = 0
        finally:
            answer_unknown(lookups)
            self._release_expired()
        self.timer.poll_ended(requests=self._requests)
        self._reschedule(wanted.values())

    def _wanted(self, now: float, slots_short: bool) -> dict[str, WatchedTask]:
        """The tasks to poll: those that are due, and while slots are short those that hold one."""
        wanted = {
            task.any_id: task
            for task in self._watched.values()
            if task.due <= now + SOON or (slots_short and task.any_id in self._slots.ours)
        }
        if len(wanted) > 1:  # the same pages may show all others that somebody waits for, at no cost
            wanted = {any_id: task for any_id, task in self._watched.items() if task.waiters or any_id in wanted}
        return wanted

    def _reschedule(self, polled: Iterable[WatchedTask]) -> None:
        remaining = [task for task in polled if task.any_id in self._watched]
        self.timer.reschedule(remaining)
        now = time.time()
        for task in remaining:
            if not task.waiters and now - task.since > FORGOTTEN_AFTER:
                self._forget(task)

    async def _failed(self, error: KlingError, polled: Iterable[WatchedTask]) -> None:
        """A poll has failed. Each waiter gets a copy of the error, and decides what it means."""
        self.timer.failures += 1
        if self.timer.failures == 1 or not error.retryable:
            logger.warning("Kling cannot be asked at the moment: %s", error)
        for number, task in enumerate(list(polled)):
            task.notify(copy.copy(error))
            if number % CHUNK == CHUNK - 1:
                await asyncio.sleep(0)
        if not error.retryable:
            self._broken(error)

    # --- Requests

    async def _sweep(self, wanted: dict[str, WatchedTask], lookups: list[AbsenceLookup], now: float) -> list[WatchedTask]:
        """Read pages of the list. Returns the wanted tasks that they do not show."""
        sweep = await self._read_list(wanted, whole_up_to=PAGES_FOR_ABSENCE if lookups else 0, now=now)
        if lookups:
            self._absence.answer(lookups, sweep, begun_at=now)
        if sweep.durations and self.durations.expected is None:
            self.durations.add_history(sweep.durations)
        self._slots.saw_others(sweep.others)
        self._freed()
        return list(sweep.missing.values())

    async def _read_list(self, wanted: dict[str, WatchedTask], *, whole_up_to: int, now: float) -> Sweep:
        sweep = Sweep(self._watched, dict(wanted), self.creating)
        running = self._slots.limit or 0
        pages = self._list_reader.pages(wanted=len(wanted), running=running, whole_up_to=whole_up_to, now=now)
        try:
            request = next(pages)
            while True:
                request = pages.send(await self._read_page(request, sweep))
        except StopIteration as end:
            sweep.whole = end.value
        return sweep

    async def _read_page(self, request: PageRequest, sweep: Sweep) -> PageResult:
        page = await self._send(page_call(self._product, page_num=request.number, page_size=request.size))
        missing_before = len(sweep.missing)
        for task in page.tasks:
            if watched := sweep.add(task):
                self._observe(watched, task)  # now, not after the last page: a slot that became free is used meanwhile
        return PageResult(page.length, hits=missing_before - len(sweep.missing))

    async def _query_singly(self, missing: list[WatchedTask]) -> None:
        """Query these tasks one by one, first those that were not seen for the longest time."""
        missing.sort(key=lambda task: task.polled_at)
        at_once = asyncio.Semaphore(SINGLES_AT_ONCE)

        async def query(watched: WatchedTask) -> None:
            async with at_once:
                try:
                    self._observe(watched, await self._send(get_call(self._product, watched.any_id)))
                except (KlingTaskNotFound, KlingAnswerError) as error:  # concerns this task alone
                    watched.notify(error)
                    if not watched.waiters:
                        self._forget(watched)

        outcomes = await asyncio.gather(*map(query, missing[:MOST_SINGLES]), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _send(self, call: Call[T]) -> T:
        self._requests += 1
        return await self._client.send(call, tries=POLL_TRIES)

    # --- What a poll brings

    def _observe(self, watched: WatchedTask, task: Task) -> None:
        """Take note of a watched task as it is now. Its waiters hear of it if that is new, or if a deadline has come."""
        changed = task.status != watched.status
        watched.status = task.status
        if task.done:
            duration = duration_of(task)
            self.durations.add(time.time() - watched.since if duration is None else duration)
            self._slots.fair_share.typical = self.durations.typical or 0.0
            self._forget(watched)
            self._freed()
        if changed or task.done or watched.due == 0.0:
            watched.notify(task)

    def _forget(self, task: WatchedTask) -> None:
        self._watched.pop(task.any_id, None)
        self._slots.free_up(task.any_id)
