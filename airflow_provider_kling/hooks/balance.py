"""One reader of an account's resource packs for all who wait for them: at most one request a second, as Kling asks.

In a triggerer, all waiters of a connection share one answer, and the processes of a machine take turns. Another machine makes
Kling refuse a request with code 1302: it is sent again a little later.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

import pendulum

from airflow_provider_kling.api import ResourcePack
from airflow_provider_kling.errors import KlingBusyError
from airflow_provider_kling.hooks.calls import packs_call
from airflow_provider_kling.hooks.turns import Turns

if TYPE_CHECKING:
    from airflow_provider_kling.hooks.connection import ConnectionHook

T = TypeVar("T")

BUSY_TRIES = 5
LONGEST_BUSY_PAUSE = 10.0  # seconds

Packs = tuple[list[ResourcePack], pendulum.DateTime]


TURNS = Turns()


def retrying_busy(account: str, read: Callable[[], T]) -> T:
    """What `read` brings, in its turn. It is called again a few times while another program takes the request of a second."""
    for left in reversed(range(BUSY_TRIES)):
        time.sleep(TURNS.take(account))
        try:
            return read()
        except KlingBusyError as error:
            if not left:
                raise
            time.sleep(_busy_pause(error))
    raise AssertionError("unreachable")


class BalanceReader:
    """Reads the packs of one connection, for all who wait on one event loop. Those who ask while it reads share its answer.

    It needs a hook, which it keeps.
    """

    def __init__(self, hook: ConnectionHook) -> None:
        self.hook = hook
        self._reading: asyncio.Task[Packs] | None = None
        self._fresh: tuple[float, Packs] | None = None  # the last answer, and when it came

    async def packs(self, *, max_age: float = 0.0) -> Packs:
        """All resource packs, and when they were read, which may be up to `max_age` seconds ago. Raises KlingError."""
        if self._fresh is not None and asyncio.get_running_loop().time() - self._fresh[0] < max_age:
            return self._fresh[1]
        if self._reading is None or self._reading.done():
            # In a context of its own: its lines must not go to the log of the one who came first.
            loop = asyncio.get_running_loop()
            self._reading = contextvars.Context().run(loop.create_task, self._read())
            self._reading.add_done_callback(_retrieve)
        return await asyncio.shield(self._reading)

    async def close(self) -> None:
        """End a request that nobody waits for any more, and the sessions."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        await self.hook.aclose()

    async def _read(self) -> Packs:
        account = (await self.hook.settings_in_time()).base_url
        for left in reversed(range(BUSY_TRIES)):
            await asyncio.sleep(TURNS.take(account))
            try:
                packs = await self.hook._aread(packs_call(None, None, None), tries=1)
                answer = packs, pendulum.now("UTC")
                self._fresh = asyncio.get_running_loop().time(), answer
                return answer
            except KlingBusyError as error:
                if not left:
                    raise
                await asyncio.sleep(_busy_pause(error))
        raise AssertionError("unreachable")


@dataclass
class _Shared:
    """A reader and the number of its users."""

    reader: BalanceReader
    users: int = 0


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Shared]] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def shared_balance(hook: ConnectionHook) -> AsyncIterator[BalanceReader]:
    """The reader that all users of the hook's connection share on this event loop; it ends with its last user.

    It has a hook of its own, because the caller may close his.
    """
    readers = _shared.setdefault(asyncio.get_running_loop(), {})
    entry = readers.get(hook.kling_conn_id)
    if entry is None:
        entry = readers[hook.kling_conn_id] = _Shared(BalanceReader(type(hook)(hook.kling_conn_id)))
    entry.users += 1
    try:
        yield entry.reader
    finally:
        entry.users -= 1
        if not entry.users:
            if readers.get(hook.kling_conn_id) is entry:
                del readers[hook.kling_conn_id]
            await entry.reader.close()


def _busy_pause(error: KlingBusyError) -> float:
    """Seconds, so that two programs that met do not meet again, or those that the server asks for, within bounds."""
    return max(random.uniform(0.2, 2.0), min(error.retry_after or 0.0, LONGEST_BUSY_PAUSE))  # noqa: S311 - not for secrets


def _retrieve(task: asyncio.Task[Packs]) -> None:
    """Look at the error of a request that nobody waits for any more, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()
