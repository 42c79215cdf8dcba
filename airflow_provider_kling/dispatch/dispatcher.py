"""One Kling account for all that an event loop wants of it: who may create next, and who is done.

All triggers of a triggerer that use the same connection, a batch, and the async hook share one dispatcher, with one
session, one token and one lookup of the connection. Creates stand in one fair queue for the account's slots (`slots`);
whoever waits for a task waits for one `poller`. What an answer means is decided in `flows`.

Keyed by event loop, because `dag.test()` runs every trigger in a loop of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import functools
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_kling.api import Call, Task
from airflow_provider_kling.client import CheckCapacity, Flow, Log, Sleep, Step, Submission, flows
from airflow_provider_kling.dispatch.durations import DurationModel
from airflow_provider_kling.dispatch.poller import Poller, since
from airflow_provider_kling.dispatch.slots import SlotRequest, Slots
from airflow_provider_kling.errors import KlingBusyError, KlingError, KlingSlotsFullError

T = TypeVar("T")

DOWNLOADS = 8  # tasks whose videos are saved at once
PATIENCE = 2.0  # seconds in the queue before a submission is told that it waits for a slot


class Sender(Protocol):
    """What a dispatcher needs of a hook."""

    async def acall(self, call: Call[T], *, tries: int = ...) -> T: ...

    async def astep(self, step: Step, destination: str = "") -> Any: ...

    async def arun(self, steps: Flow[T], *, destination: str = ..., do: Callable[[Step], Any] | None = None) -> T: ...

    async def most_slots(self) -> int | None: ...

    async def aclose(self) -> None: ...


class Dispatcher:
    """An account on one event loop. `shared` brings the one that is to be used."""

    def __init__(self, sender: Sender) -> None:
        self.hook = sender
        self.slots = Slots()
        self.poller = Poller(sender, self.slots, freed=self._grant, broken=self._end_turns)
        self._turns: dict[SlotRequest, asyncio.Future[None]] = {}
        self._beginning = asyncio.Lock()
        self._downloads = asyncio.Semaphore(DOWNLOADS)
        self._runner: asyncio.Task[None] | None = None

    @property
    def pace(self) -> DurationModel:
        """How long this account's tasks take."""
        return self.poller.pace

    # --- For those who use it

    async def create(self, submission: Submission, *, adopt_existing: bool, deadline: float, say: Log, group: str = "") -> Task:
        """The one task of this submission, made as soon as it is its turn and the account has a slot; see `flows.create_when_free`.

        Those of one `group` (a DAG run, a manifest) take turns with the other groups.
        """
        await self._begun()
        if adopt_existing and await self.poller.lacks(submission.external_id):
            adopt_existing = False
        request = SlotRequest(group)
        steps = flows.create_when_free(submission, adopt_existing=adopt_existing, deadline=deadline, say=say)
        try:
            task = await self.hook.arun(steps, do=functools.partial(self._step, request, deadline))
        finally:
            self._leave(request)
        if not task.done:
            self.poller.know(task.kling_task_id, status=task.status, since=since(task))
        return task

    async def wait(
        self, kling_task_id: str, *, deadline: float, poll_interval: float, say: Log, first_look: float = 0.0, status: str = ""
    ) -> Task:
        """The task, once it has succeeded or failed; see `flows.wait`. Looks may come sooner than asked for."""
        await self._begun()
        return await self.poller.wait(
            kling_task_id, deadline=deadline, poll_interval=poll_interval, say=say, first_look=first_look, status=status
        )

    async def save(self, task: Task, destination: str, *, say: Log) -> list[str]:
        """Store the videos of a succeeded task, a few tasks at once; see `flows.save`. Brings their paths."""
        async with self._downloads:
            return await self.hook.arun(flows.save(task, say=say), destination=destination)

    # --- Creating

    async def _step(self, request: SlotRequest, deadline: float, step: Step) -> Any:
        """Do one step of a create: what concerns slots here, all else as the hook does it."""
        match step:
            case CheckCapacity():
                if not request.granted and not await self._turn(request, min(time.time() + PATIENCE, deadline)):
                    raise KlingSlotsFullError("all slots of the account are taken", code=1303, speaker="The queue")
                return None
            case Sleep(_, for_slot=True) if not request.granted:
                await self._turn(request, deadline)
                return time.time()
            case Sleep(_, for_slot=True):  # a look was refused like that: its turn goes to others meanwhile
                self.slots.fail(request)
                self._grant()
            case Call(safe=False):
                return await self._create(request, step)
        return await self.hook.astep(step)

    async def _create(self, request: SlotRequest, call: Call[Any]) -> Any:
        external_id = str((call.body or {}).get("external_task_id"))
        self.poller.creating.add(external_id)
        try:
            task = await self.hook.acall(call)
        except KlingSlotsFullError:
            self.slots.refuse(request, now=time.time())
            self.poller.refused()
            raise
        except KlingBusyError as error:
            self.slots.hold_off(request, until=time.time() + (error.retry_after or flows.SLOT_PAUSE))
            raise
        except BaseException:
            self.slots.fail(request)
            raise
        else:
            self.slots.accept(request, task.kling_task_id)
            self.poller.know(task.kling_task_id, status=task.status)
            return task
        finally:
            self.poller.creating.discard(external_id)
            self._grant()
            self.poller.slots_moved()

    async def _turn(self, request: SlotRequest, until: float) -> bool:
        """Wait in the queue until it is this request's turn; whether that was so in time. It keeps its place either way."""
        if not request.queued and not request.granted:
            self._turns[request] = asyncio.get_running_loop().create_future()
            self.slots.join(request)
            self._grant()
            self.poller.slots_moved()
        turn = self._turns[request]
        await asyncio.wait([turn], timeout=max(0.0, until - time.time()))
        if turn.done():
            self._turns.pop(request, None)
            turn.result()  # raises what has ended the waiting
        return request.granted

    def _leave(self, request: SlotRequest) -> None:
        self._turns.pop(request, None)
        self.slots.leave(request)
        self._grant()

    def _grant(self) -> None:
        """Let those create whose turn it is."""
        while request := self.slots.grant(time.time()):
            self._turns[request].set_result(None)

    def _end_turns(self, error: KlingError) -> None:
        for turn in self._turns.values():
            if not turn.done():
                turn.set_exception(copy.copy(error))

    # --- Beginning and end

    async def _begun(self) -> None:
        async with self._beginning:
            if self._runner is None or self._runner.done():
                self.slots.most = await self.hook.most_slots()
                # In a context of its own: its lines are not to land in the log of the trigger that came first.
                loop = asyncio.get_running_loop()
                self._runner = contextvars.Context().run(loop.create_task, self.poller.survive())

    async def close(self) -> None:
        """End the poller and the sessions."""
        if self._runner is not None:
            self._runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._runner
            self._runner = None
        await self.hook.aclose()


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
