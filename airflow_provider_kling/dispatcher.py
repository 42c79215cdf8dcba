"""One Kling account for all that an event loop wants of it: who may create next, and who is done.

All triggers of a triggerer that use the same connection, a batch, and the async hook share one dispatcher, with one
session, one token and one lookup of the connection. Creates stand in one fair queue for the account's slots (`slots`).
Whoever waits for a task waits for one poller: a look at the list of tasks answers for hundreds, what it does not show is
asked singly, and the looks come when they can be worth it (`pace`). What an answer means is decided in `flows`.

Keyed by event loop, because `dag.test()` runs every trigger in a loop of its own. The poller's lines go to the log of
the process; what concerns one task is said by whoever waits for it, in its own log.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import functools
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_kling import flows
from airflow_provider_kling.errors import KlingAnswerError, KlingBusyError, KlingError, KlingSlotsFullError, KlingTaskNotFound
from airflow_provider_kling.flows import Pause, Room, Say, Step, Steps, Watch, Wish
from airflow_provider_kling.pace import Pace
from airflow_provider_kling.pages import Pages
from airflow_provider_kling.protocol import MAX_PAGE_SIZE, Call, Page, Task, get_call, page_call
from airflow_provider_kling.slots import Claim, Slots

T = TypeVar("T")
log = logging.getLogger(__name__)

FIRST_LOOK = 5.0  # seconds after a create, while nothing is known of how long tasks take …
PART_OF_SHORTEST = 0.8  # … and of the shortest known time else
PATIENCE = 2.0  # seconds in the queue before a wish is told that it waits for a slot
LONGEST_SLEEP = 3600.0  # seconds
SHORTEST_INTERVAL = 1.0  # seconds between two looks while nobody waits for a slot
PART_OF_TYPICAL = 0.15  # of the time that a task typically takes, between two looks
PAGE_SECONDS = 0.5  # no more than one page for so many seconds, in the long run
REST = 0.1  # seconds for each request of a look, until those who came meanwhile are looked for, all together
# While somebody waits for a slot: a look as soon as so much of the slots' time is expected to be lost without it.
WASTE = 0.0016
BLIND = 0.15  # … and of a task's age, while nothing is known of how long tasks take
HALF_BLIND = 0.5  # … at the latest, while only the account's past tells, which may be of other scenes
SHORTEST_CONTESTED = 0.25  # seconds between two looks then
UNLIKELY = 0.1  # ends expected: fewer are not worth a look …
MOST_SKIPPED = 3  # … for at most so many intervals
PAGES_FOR_ABSENCE = 2  # an account with more tasks than these hold is not read for what it does not have
ABSENCE_TOGETHER, ABSENCE_INTERVAL = 0.2, 2.0  # seconds: wishes that come together are looked for together
SINGLES_AT_ONCE = 8
MOST_SINGLES = 40  # in one look, of those that the pages did not show
FORGOTTEN_AFTER = 6 * 3600.0  # seconds after which a task that nobody waits for is no longer looked for
CHUNK = 500  # waiters that are served in one go, before others get their turn on the event loop


class Sender(Protocol):
    """What a dispatcher needs of a hook."""

    async def acall(self, call: Call[T], *, tries: int = ...) -> T: ...

    async def astep(self, step: Step, destination: str = "") -> Any: ...

    async def arun(self, steps: Steps[T], *, do: Callable[[Step], Any] | None = None) -> T: ...

    async def most_slots(self) -> int | None: ...

    async def aclose(self) -> None: ...


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


class Dispatcher:
    """An account on one event loop. `shared` brings the one that is to be used."""

    def __init__(self, sender: Sender) -> None:
        self.hook = sender
        self.pace = Pace()
        self.slots = Slots()
        self._known: dict[str, _Known] = {}
        self._turns: dict[Claim, asyncio.Future[None]] = {}
        self._creating: set[str] = set()  # external ids of creates that are not yet answered
        self._asked: list[tuple[str, asyncio.Future[bool]]] = []  # external ids: does the account lack them?
        self._asked_at = 0.0
        self._too_many = False  # the account holds more tasks than are read for that
        self._pages = Pages()
        self._overdue: list[_Waiter] = []
        self._next = float("inf")
        self._requests = 0  # of the look that is under way
        self._rest_until = 0.0
        self._trouble = 0
        self._refused = False  # a create, since the last look
        self._woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._beginning = asyncio.Lock()
        self._runner: asyncio.Task[None] | None = None

    # --- For those who use it

    async def create(self, wish: Wish, *, look_first: bool, deadline: float, say: Say, group: str = "") -> Task:
        """The one task of this wish, made as soon as it is its turn and the account has a slot; see `flows.create_when_free`.

        Those of one `group` (a DAG run, a manifest) take turns with the other groups.
        """
        await self._begun()
        if look_first and await self._lacks(wish.external_id):
            look_first = False
        claim = Claim(group)
        steps = flows.create_when_free(wish, look_first=look_first, deadline=deadline, say=say)
        try:
            task = await self.hook.arun(steps, do=functools.partial(self._step, claim, deadline))
        finally:
            self._leave(claim)
        if not task.done:
            self._know(task.kling_task_id, status=task.status, since=_since(task))
        return task

    async def wait(
        self, kling_task_id: str, *, deadline: float, poll_interval: float, say: Say, first_look: float = 0.0, status: str = ""
    ) -> Task:
        """The task, once it has succeeded or failed; see `flows.wait`. Looks may come sooner than asked for."""
        await self._begun()
        now = time.time()
        watch = Watch(kling_task_id, started=now, deadline=deadline, status=status, say=say)
        new = kling_task_id not in self._known
        known = self._know(kling_task_id, status=status)
        known.due = max(first_look, max(now, self._rest_until) if new else min(known.due, known.since + poll_interval))
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

    # --- Creating

    async def _step(self, claim: Claim, deadline: float, step: Step) -> Any:
        """Do one step of a create: what concerns slots here, all else as the hook does it."""
        match step:
            case Room():
                if not claim.granted and not await self._turn(claim, min(time.time() + PATIENCE, deadline)):
                    raise KlingSlotsFullError("all slots of the account are taken", code=1303, speaker="The queue")
                return None
            case Pause(_, for_slot=True) if not claim.granted:
                await self._turn(claim, deadline)
                return time.time()
            case Pause(_, for_slot=True):  # a look was refused like that: its turn goes to others meanwhile
                self.slots.fail(claim)
                self._grant()
            case Call(safe=False):
                return await self._create(claim, step)
        return await self.hook.astep(step)

    async def _create(self, claim: Claim, call: Call[Any]) -> Any:
        external_id = str((call.body or {}).get("external_task_id"))
        self._creating.add(external_id)
        try:
            task = await self.hook.acall(call)
        except KlingSlotsFullError:
            self.slots.refuse(claim, now=time.time())
            self._refused = True  # what others hold is to be seen now: it tells how many slots there are
            raise
        except KlingBusyError as error:
            self.slots.hold_off(claim, until=time.time() + (error.retry_after or flows.SLOT_PAUSE))
            raise
        except BaseException:
            self.slots.fail(claim)
            raise
        else:
            self.slots.accept(claim, task.kling_task_id)
            self._know(task.kling_task_id, status=task.status)
            return task
        finally:
            self._creating.discard(external_id)
            self._grant()
            self._plan()

    async def _turn(self, claim: Claim, until: float) -> bool:
        """Wait in the queue until it is this claim's turn; whether that was so in time. It keeps its place either way."""
        if not claim.queued and not claim.granted:
            self._turns[claim] = asyncio.get_running_loop().create_future()
            self.slots.join(claim)
            self._grant()
            self._plan()
        turn = self._turns[claim]
        await asyncio.wait([turn], timeout=max(0.0, until - time.time()))
        if turn.done():
            self._turns.pop(claim, None)
            turn.result()  # raises what has ended the waiting
        return claim.granted

    def _leave(self, claim: Claim) -> None:
        self._turns.pop(claim, None)
        self.slots.leave(claim)
        self._grant()

    def _grant(self) -> None:
        """Let those create whose turn it is."""
        while claim := self.slots.grant(time.time()):
            self._turns[claim].set_result(None)

    async def _lacks(self, external_id: str) -> bool:
        """Whether the account certainly has no task of this id: one look at a short list answers for many wishes."""
        if self._too_many:
            return False
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.append((external_id, answer))
        self._look_by(max(time.time() + ABSENCE_TOGETHER, self._asked_at + ABSENCE_INTERVAL))
        return await answer

    # --- Looking

    def _know(self, kling_task_id: str, *, status: str = "", since: float | None = None) -> _Known:
        known = self._known.get(kling_task_id)
        if known is None:
            since = time.time() if since is None else since
            first_look = FIRST_LOOK if self.pace.shortest is None else self.pace.shortest * PART_OF_SHORTEST
            known = self._known[kling_task_id] = _Known(kling_task_id, since=since, due=since + first_look, status=status)
            self.slots.hold(kling_task_id)
        return known

    def _wake(self) -> None:
        if not self._woken.done():
            self._woken.set_result(None)

    def _look_by(self, when: float) -> None:
        if when < self._next:
            self._next = when
            self._wake()

    def _look_last(self, known: _Known, waiter: _Waiter) -> None:
        """A deadline has come: whoever waits sees how things stand, and goes."""
        known.due = 0.0
        self._overdue.append(waiter)
        self._look_by(0.0)

    def _plan(self) -> None:
        """Reckon anew when the next look is worth it."""
        now = time.time()
        if self._trouble:
            pause = min(SHORTEST_INTERVAL * 2.0**self._trouble, flows.LONGEST_TROUBLE_PAUSE)
            self._next = now + pause
            self._wake()
            return
        times = [known.due for known in self._known.values() if known.waiters]
        if self._asked:
            times.append(max(now, self._asked_at + ABSENCE_INTERVAL))
        if self.slots.waiting and self.slots.ours:
            times.append(now if self._refused else self._contested_look(now))
        self._next = min(times, default=float("inf"))
        self._wake()

    def _contested_look(self, now: float) -> float:
        """When a look is worth it for the slots that it may find free."""
        holding = [known for known in self._known.values() if known.any_id in self.slots.ours]
        ages = [max(0.0, now - known.since) for known in holding]
        oldest = max(ages, default=0.0)
        expected = self.pace.expected
        if expected is None:
            pause = max(FIRST_LOOK - oldest, BLIND * oldest)
        else:
            waste = WASTE * expected * max(1, len(ages))
            pause = self.pace.next_look(ages, waste=waste, wanted=self.slots.waiting, longest=max(1.0, expected))
            if self.pace.typical is None:
                pause = min(pause, max(FIRST_LOOK - oldest, HALF_BLIND * oldest))
        return now + max(SHORTEST_CONTESTED, pause)

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
            self._grant()
            if time.time() >= self._next:
                await self._look()
                self._plan()

    async def _look(self) -> None:
        now = time.time()
        contested, self._refused = self.slots.waiting, False
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
            for _, answer in asked:
                if not answer.done():
                    answer.set_result(False)
            for waiter in self._overdue:
                if not waiter.told.is_set():
                    waiter.tell(None)
            self._overdue.clear()
        self._rest_until = time.time() + REST * self._requests
        self._reschedule(wanted.values())

    def _reschedule(self, looked_at: Iterable[_Known]) -> None:
        """When a look at these is worth it again, as far as those go who just wait for them."""
        now = time.time()
        left = [known for known in looked_at if known.any_id in self._known]
        ages = [now - known.since for known in left]
        interval = max(SHORTEST_INTERVAL, PART_OF_TYPICAL * (self.pace.typical or max(ages, default=0.0)))
        if left and self.pace.typical is not None:
            unlikely = [n for n in range(1, MOST_SKIPPED) if self.pace.ends_within(interval * n, ages) < UNLIKELY]
            interval *= 1 + max(unlikely, default=0)
        shortest = PAGE_SECONDS * len(left) / MAX_PAGE_SIZE
        for known in left:
            known.looked = now
            longest = min((waiter.poll_interval for waiter in known.waiters), default=interval)
            known.due = now + max(shortest, min(interval, longest))
            if not known.waiters and now - known.since > FORGOTTEN_AFTER:
                self._forget(known)

    async def _sweep(self, wanted: dict[str, _Known], asked: list[tuple[str, asyncio.Future[bool]]], now: float) -> list[_Known]:
        """Read pages of the list; those that it did not show."""
        missing = dict(wanted)
        external_ids: set[str] = set()
        ended_before: list[float] = []
        others = 0

        async def fetch(number: int, size: int) -> Page:
            self._requests += 1
            return await self.hook.acall(page_call(page_num=number, page_size=size), tries=2)

        def saw(task: Task) -> bool:
            nonlocal others
            if asked and task.external_task_id:
                external_ids.add(task.external_task_id)
            known = self._known.get(task.kling_task_id) or self._known.get(task.external_task_id or "")
            if known is None:
                others += not task.done and task.external_task_id not in self._creating
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
        self._grant()
        return list(missing.values())

    async def _ask_singly(self, missing: list[_Known]) -> None:
        """Ask for each of these, those first that were not seen for the longest time."""
        missing.sort(key=lambda known: known.looked)
        at_once = asyncio.Semaphore(SINGLES_AT_ONCE)

        async def ask(known: _Known) -> None:
            async with at_once:
                self._requests += 1
                try:
                    self._saw(known, await self.hook.acall(get_call(known.any_id), tries=2))
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
            self._grant()
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
            for turn in self._turns.values():
                if not turn.done():
                    turn.set_exception(copy.copy(error))

    # --- Beginning and end

    async def _begun(self) -> None:
        async with self._beginning:
            if self._runner is None:
                self.slots = Slots(await self.hook.most_slots())
                # In a context of its own: its lines are not to land in the log of the trigger that came first.
                loop = asyncio.get_running_loop()
                self._runner = contextvars.Context().run(loop.create_task, self._survive())

    async def _survive(self) -> None:
        """Run; a mistake of this module is not to leave others waiting forever."""
        try:
            await self._run()
        except Exception as error:
            log.exception("The dispatcher has failed.")
            failure = KlingError(f"The dispatcher has failed: {type(error).__name__}: {error}.")
            await self._missed(failure, self._known.values())
            for _, answer in self._asked:
                if not answer.done():
                    answer.set_result(False)
            self._runner = None

    async def close(self) -> None:
        """End the poller and the sessions."""
        if self._runner is not None:
            self._runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._runner
            self._runner = None
        await self.hook.aclose()


def _since(task: Task) -> float | None:
    return task.created_at.timestamp() if task.created_at else None


def _took(task: Task, known: _Known) -> float:
    """Seconds from its creation to its end, by Kling's own clock where it tells."""
    took = _between(task.created_at, task.updated_at)
    return time.time() - known.since if took is None else took


def _between(first: datetime | None, second: datetime | None) -> float | None:
    return (second - first).total_seconds() if first and second else None


@dataclass
class _Shared:
    dispatcher: Dispatcher
    users: int = 0


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Shared]] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def shared(kling_conn_id: str, make: Callable[[], Sender]) -> AsyncIterator[Dispatcher]:
    """The dispatcher that everybody on this event loop uses for this connection; it ends with its last user."""
    accounts = _shared.setdefault(asyncio.get_running_loop(), {})
    account = accounts.get(kling_conn_id)
    if account is None:
        account = accounts[kling_conn_id] = _Shared(Dispatcher(make()))
    account.users += 1
    try:
        yield account.dispatcher
    finally:
        account.users -= 1
        if not account.users:
            if accounts.get(kling_conn_id) is account:
                del accounts[kling_conn_id]
            await account.dispatcher.close()
