"""One Kling account for all its users on an event loop: who may create next, and who is done.

All triggers of a triggerer that use the same connection, a batch, and the async hook share one dispatcher, with one
session, one token and one lookup of the connection. What they want and what is known of the account is one `state`. One
loop works on it: it alone ends what has expired, grants slots and starts polls. Everybody else only changes the state, and
tells the loop. After each change the loop works out when it must look again, so nobody can wait for anything that has no
time at which it is looked at again. What a response means is decided in `client.flows`.

Callers give deadlines in Unix seconds. Inside, all times are by the event loop's clock, which nobody can set.

Keyed by event loop, because `dag.test()` runs every trigger in a loop of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow_provider_kling.api import Product, Task
from airflow_provider_kling.client import Downloads, Submission, flows, monotonic_deadline, monotonic_now
from airflow_provider_kling.dispatch.creation import Creation
from airflow_provider_kling.dispatch.durations import DurationModel
from airflow_provider_kling.dispatch.gauges import Gauges
from airflow_provider_kling.dispatch.poller import Poller
from airflow_provider_kling.dispatch.slots import Slots
from airflow_provider_kling.dispatch.state import AccountState
from airflow_provider_kling.dispatch.watched import Waiter
from airflow_provider_kling.errors import KlingError
from airflow_provider_kling.metrics import CREATE_SPAN, WAIT_SPAN
from airflow_provider_kling.naming import SaveAs

if TYPE_CHECKING:
    from airflow_provider_kling.client import AsyncClient

logger = logging.getLogger(__name__)

Log = Callable[[str], object]  # writes a line to the log of one who waits

HEARTBEAT = 30.0  # seconds: the loop looks at least so often, though no time that it knows asks for it
TICK = 0.001  # seconds that the loop sleeps at least, because timers may fire a little early


class Dispatcher:
    """One account on one event loop. Use `shared`, so that all callers get the same one."""

    def __init__(self, client: AsyncClient, product: Product, *, heartbeat: float = HEARTBEAT) -> None:
        self.client = client
        self.product = product
        self.state = AccountState(client.settings.max_concurrency)
        self._poller = Poller(client, product, self.state, changed=self.changed)
        self._downloads = Downloads()
        self._heartbeat = heartbeat
        self._gauges = Gauges(client)
        self._change: asyncio.Future[None] | None = None  # of which the loop waits
        self._runner: asyncio.Task[None] | None = None

    @property
    def slots(self) -> Slots:
        """The account's slots, as far as they are known."""
        return self.state.slots

    @property
    def durations(self) -> DurationModel:
        """How long this account's tasks take."""
        return self.state.durations

    @property
    def _conn_id(self) -> str:
        return self.client.settings.conn_id

    # --- For its users

    async def create(self, submission: Submission, *, deadline: float, log: Log, group: str = "") -> Task:
        """The one task of this submission, created in its turn when the account has a slot; see `flows.create_when_free`.

        `deadline` is in Unix seconds. Submissions of one `group` (a DAG run, a manifest) take turns with the other groups.
        """
        self._start()
        until = monotonic_deadline(deadline)
        creation = Creation(
            self.client, self.product, self.state, submission, deadline=until, group=group, log=log, changed=self.changed
        )
        with self.client.sink.span(CREATE_SPAN, conn_id=self._conn_id, scene=submission.scene) as span:
            task = await creation.run()
            span.set(kling_task_id=task.kling_task_id, external_task_id=task.external_task_id)
        now = monotonic_now()
        if not task.done:
            self.state.watch(task, submission.external_id if submission.first_attempt == 1 else None, since=_since(task, now))
        else:
            self.state.observe(task, now)
        self.changed()
        return task

    async def wait(
        self, kling_task_id: str, *, deadline: float, poll_interval: float, log: Log, first_poll: float = 0.0, status: str = ""
    ) -> Task:
        """The task with this Kling task id or external id, once it has succeeded or failed; see `flows.wait`.

        `deadline` and `first_poll` are in Unix seconds. Polls may come sooner than asked for.
        """
        self._start()
        now, until = monotonic_now(), monotonic_deadline(deadline)
        watch = flows.Watch(kling_task_id, started=now, status=status, conn_id=self._conn_id)
        waiter = Waiter(poll_interval, deadline=until)
        self.state.add_waiter(waiter, kling_task_id, first_poll=monotonic_deadline(first_poll), status=status, now=now)
        self.changed()
        try:
            with self.client.sink.span(WAIT_SPAN, conn_id=self._conn_id, kling_task_id=kling_task_id) as span:
                task = await _followed(waiter, watch, log)
                span.set(status=task.status)
                return task
        finally:
            self.state.remove_waiter(waiter)
            self.changed()

    async def save(self, task: Task, destination: str, *, log: Log, save_as: SaveAs | None = None) -> flows.SavedFiles:
        """Store the videos of a succeeded task, a few tasks at once; see `flows.save_files`."""
        return await self._downloads.save(self.client, self.product, task, destination, log=log, save_as=save_as)

    # --- The loop

    def changed(self) -> None:
        """The state has changed, so the loop looks at it anew."""
        if self._change is not None and not self._change.done():
            self._change.set_result(None)

    async def _run(self) -> None:
        """Run until cancelled. A fault in this package must not leave anybody waiting for ever, so it ends all waits."""
        state, loop = self.state, asyncio.get_running_loop()
        poll: asyncio.Task[None] | None = None
        try:
            while True:
                self._change = loop.create_future()
                now = loop.time()
                state.expire(now)
                state.grant(now)
                self._gauges.show(state.slots, now)
                if poll is None and state.poll_is_due(now):
                    poll = loop.create_task(self._poller.poll(state.begin_poll(now)))
                pause = min(self._heartbeat, min(state.wakeups(now, polling=poll is not None)) - now)
                await asyncio.wait(
                    {self._change, poll} if poll else {self._change},
                    timeout=None if pause == float("inf") else max(TICK, pause),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if poll is not None and poll.done():
                    poll.result()
                    poll = None
        except Exception as error:
            logger.exception("Connection %s: the dispatcher has failed.", self._conn_id)
            state.end_all(KlingError(f"The dispatcher has failed: {type(error).__name__}: {error}."))
        finally:
            if poll is not None:
                poll.cancel()
            self._gauges.end()

    # --- Start and end

    def _start(self) -> None:
        if self._runner is None or self._runner.done():
            # In a context of its own: its lines must not go to the log of the trigger that came first.
            loop = asyncio.get_running_loop()
            self._runner = contextvars.Context().run(loop.create_task, self._run())

    async def close(self) -> None:
        """End the loop and the sessions."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait([self._runner])
            self._runner = None
        await self.client.close()


async def _followed(waiter: Waiter, watch: flows.Watch, log: Log) -> Task:
    """The task, once it is done. Raises what ends the wait before."""
    while True:
        news = await waiter.wait()
        for message in watch.observe(news) if news is not None else ():
            log(message)
        if watch.error:
            raise watch.error
        if watch.task:
            return watch.task
        if waiter.expired_at is not None:
            raise watch.expired(monotonic_now())


def _since(task: Task, now: float) -> float:
    """When Kling has created a task, by the event loop's clock. The two wall clocks may differ, so it is a guess."""
    return now - max(0.0, time.time() - task.created_at.timestamp()) if task.created_at else now


@dataclass
class _Shared:
    """One attempt to connect, for which all users wait, and their number."""

    connecting: asyncio.Task[Dispatcher] | None = None
    users: int = 0


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Shared]] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def shared(key: Hashable, product: Product, connect: Callable[[], Awaitable[AsyncClient]]) -> AsyncIterator[Dispatcher]:
    """The dispatcher that all users on this event loop share under this key; it ends with its last user.

    Raises what `connect` raised, for all who waited for it. A user who comes later tries again.
    """

    async def connected() -> Dispatcher:
        return Dispatcher(await connect(), product)

    accounts = _shared.setdefault(asyncio.get_running_loop(), {})
    account = accounts.setdefault(key, _Shared())
    account.users += 1
    try:
        if account.connecting is None or _has_failed(account.connecting):
            account.connecting = asyncio.ensure_future(connected())
        yield await asyncio.shield(account.connecting)
    finally:
        account.users -= 1
        if not account.users:
            if accounts.get(key) is account:
                del accounts[key]
            if account.connecting is not None:
                await _end(account.connecting)


def _has_failed(connecting: asyncio.Task[Dispatcher]) -> bool:
    return connecting.done() and (connecting.cancelled() or connecting.exception() is not None)


async def _end(connecting: asyncio.Task[Dispatcher]) -> None:
    """End the attempt to connect, or the dispatcher that it brought."""
    connecting.cancel()  # without effect on one that is done
    await asyncio.wait([connecting])
    if not _has_failed(connecting):
        await connecting.result().close()
