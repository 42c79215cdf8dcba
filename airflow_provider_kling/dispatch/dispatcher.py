"""One Kling account for all its users on an event loop: who may create next, and who is done.

All triggers of a triggerer that use the same connection, a batch, and the async hook share one dispatcher, with one
session, one token and one lookup of the connection. Creates stand in one fair queue for the account's slots (`slots`);
all who wait for a task share one `poller`. What a response means is decided in `client.flows`.

Keyed by event loop, because `dag.test()` runs every trigger in a loop of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import dataclasses
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow_provider_kling.api import Call, Product, Task
from airflow_provider_kling.client import Downloads, Submission, flows
from airflow_provider_kling.dispatch.durations import DurationModel
from airflow_provider_kling.dispatch.poller import Log, Poller
from airflow_provider_kling.dispatch.slots import SlotRequest, Slots
from airflow_provider_kling.dispatch.watched import created_at
from airflow_provider_kling.errors import KlingBusyError, KlingError, KlingSlotsFullError

if TYPE_CHECKING:
    from airflow_provider_kling.client import AsyncClient

PATIENCE = 2.0  # seconds in the queue before the log says that a submission waits for a slot


class Dispatcher:
    """One account on one event loop. Use `shared`, so that all callers get the same one."""

    def __init__(self, client: AsyncClient, product: Product) -> None:
        self.client = client
        self.product = product
        self.slots = Slots(client.settings.max_concurrency)
        self.poller = Poller(client, product, self.slots, freed=self._grant, broken=self._end_turns)
        self._turns: dict[SlotRequest, asyncio.Future[None]] = {}
        self._downloads = Downloads()
        self._runner: asyncio.Task[None] | None = None

    @property
    def durations(self) -> DurationModel:
        """How long this account's tasks take."""
        return self.poller.durations

    # --- For its users

    async def create(self, submission: Submission, *, deadline: float, log: Log, group: str = "") -> Task:
        """The one task of this submission, created in its turn when the account has a slot; see `flows.create_when_free`.

        Submissions of one `group` (a DAG run, a manifest) take turns with the other groups.
        """
        self._start()
        if submission.adopt_existing and await self.poller.is_absent(submission.external_id):
            submission = dataclasses.replace(submission, adopt_existing=False)
        request = SlotRequest(group)
        flow = flows.create_when_free(self.product, submission, deadline=deadline)
        try:
            task = await self.client.run(flow, log=log, take=functools.partial(self._take, request, deadline))
        finally:
            self._leave(request)
        if not task.done:
            self.poller.watch(task.kling_task_id, status=task.status, since=created_at(task))
        return task

    async def wait(
        self, kling_task_id: str, *, deadline: float, poll_interval: float, log: Log, first_poll: float = 0.0, status: str = ""
    ) -> Task:
        """The task, once it has succeeded or failed; see `flows.wait`. Polls may come sooner than asked for."""
        self._start()
        return await self.poller.wait(
            kling_task_id, deadline=deadline, poll_interval=poll_interval, log=log, first_poll=first_poll, status=status
        )

    async def save(self, task: Task, destination: str, *, log: Log) -> list[str]:
        """Store the videos of a succeeded task, a few tasks at once; see `flows.save`. Returns their paths."""
        return await self._downloads.save(self.client, self.product, task, destination, log=log)

    # --- Creating

    async def _take(self, request: SlotRequest, deadline: float, step: flows.Step) -> Any:
        """Take one step of a create. The dispatcher takes the steps that concern slots, the client all others."""
        match step:
            case flows.CheckCapacity():
                if not request.granted and not await self._turn(request, min(time.time() + PATIENCE, deadline)):
                    raise KlingSlotsFullError("all slots of the account are taken", code=1303, speaker="The queue")
                return None
            case flows.Sleep(_, for_slot=True) if not request.granted:
                await self._turn(request, deadline)
                return time.time()
            case flows.Sleep(_, for_slot=True):  # a lookup got code 1303: others use the grant meanwhile
                self.slots.fail(request)
                self._grant()
            case Call(safe=False):
                return await self._create(request, step)
        return await self.client.take(step)

    async def _create(self, request: SlotRequest, call: Call[Any]) -> Any:
        external_id = str((call.body or {}).get("external_task_id"))
        self.poller.creating.add(external_id)
        try:
            task = await self.client.send(call)
        except KlingSlotsFullError:
            self.slots.refuse(request, now=time.time())
            self.poller.timer.create_refused()
            raise
        except KlingBusyError as error:
            self.slots.hold_off(request, until=time.time() + (error.retry_after or flows.SLOT_PAUSE))
            raise
        except BaseException:
            self.slots.fail(request)
            raise
        else:
            self.slots.accept(request, task.kling_task_id)
            self.poller.watch(task.kling_task_id, status=task.status)
            return task
        finally:
            self.poller.creating.discard(external_id)
            self._grant()
            self.poller.timer.slots_changed()

    async def _turn(self, request: SlotRequest, until: float) -> bool:
        """Wait in the queue for this request's turn, at most until `until`. Returns whether it came; if not, the place is kept."""
        if not request.queued and not request.granted:
            self._turns[request] = asyncio.get_running_loop().create_future()
            self.slots.join(request)
            self._grant()
            self.poller.timer.slots_changed()
        turn = self._turns[request]
        await asyncio.wait([turn], timeout=max(0.0, until - time.time()))
        if turn.done():
            self._turns.pop(request, None)
            turn.result()  # raises the error that has ended the wait
        return request.granted

    def _leave(self, request: SlotRequest) -> None:
        self._turns.pop(request, None)
        self.slots.leave(request)
        self._grant()

    def _grant(self) -> None:
        """Let requests create as long as there are slots for them."""
        while request := self.slots.grant(time.time()):
            self._turns[request].set_result(None)

    def _end_turns(self, error: KlingError) -> None:
        for turn in self._turns.values():
            if not turn.done():
                turn.set_exception(copy.copy(error))

    # --- Start and end

    def _start(self) -> None:
        if self._runner is None or self._runner.done():
            # In a context of its own: its lines must not go to the log of the trigger that came first.
            loop = asyncio.get_running_loop()
            self._runner = contextvars.Context().run(loop.create_task, self.poller.run())

    async def close(self) -> None:
        """End the poller and the sessions."""
        if self._runner is not None:
            self._runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._runner
            self._runner = None
        await self.client.close()


@dataclass
class _Shared:
    """A dispatcher and the number of its users. The first user connects; the others wait at the lock meanwhile."""

    connecting: asyncio.Lock
    dispatcher: Dispatcher | None = None
    users: int = 0


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Shared]] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def shared(key: Hashable, product: Product, connect: Callable[[], Awaitable[AsyncClient]]) -> AsyncIterator[Dispatcher]:
    """The dispatcher that all users on this event loop share under this key; it ends with its last user."""
    accounts = _shared.setdefault(asyncio.get_running_loop(), {})
    account = accounts.setdefault(key, _Shared(asyncio.Lock()))
    account.users += 1
    try:
        async with account.connecting:
            if account.dispatcher is None:
                account.dispatcher = Dispatcher(await connect(), product)
        yield account.dispatcher
    finally:
        account.users -= 1
        if not account.users:
            if accounts.get(key) is account:
                del accounts[key]
            if account.dispatcher is not None:
                await account.dispatcher.close()
