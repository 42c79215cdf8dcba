"""Takes ends from the event loop of the API server to its database: all that have come meanwhile in one transaction."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from airflow_provider_kling.plugin.end_events import EndEvents

MOST_WAITING = 5000  # ends that wait for the database; beyond that, callers are told to come again
MOST_AT_ONCE = 200  # ends of one transaction
GATHER = 0.04  # seconds between the starts of two transactions: each costs some 8 ms of CPU time, for one end or for many


class BusyError(Exception):
    """The database does not keep up. The end was not registered."""


@dataclass
class _Waiting:
    kling_conn_id: str
    end: Mapping[str, Any]
    word: asyncio.Future[str]


class EndWriter:
    """Registers ends. For one event loop."""

    def __init__(self) -> None:
        self._events = EndEvents()
        self._waiting: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, "kling-callbacks")
        self._writing: asyncio.Task[None] | None = None
        self._next_start = 0.0  # by the event loop's clock
        self._frozen = False

    async def register(self, kling_conn_id: str, end: Mapping[str, Any]) -> str:
        """Make the asset event of this end, and return the word for what became of it once it is stored.

        Raises BusyError, or the error of the database: then the end is not registered.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise BusyError(f"{MOST_WAITING:,} callbacks wait for the database.")
        waiting = _Waiting(kling_conn_id, end, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        return await waiting.word

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            await asyncio.sleep(self._next_start - loop.time())
            self._next_start = loop.time() + GATHER
            batch = self._next_batch()
            ends = [waiting.end for waiting in batch]
            try:
                words = await loop.run_in_executor(self._thread, self._events.register, batch[0].kling_conn_id, ends)
            except Exception as error:  # noqa: BLE001 - each caller gets it
                _answer(batch, error)
            else:
                for waiting, word in zip(batch, words, strict=True):
                    if not waiting.word.done():
                        waiting.word.set_result(word)
                self._freeze()

    def _freeze(self) -> None:
        """Keep what Airflow has loaded by now out of the garbage collector, which would look through it every few seconds.

        Under load, that stopped all answers of the API server for 0.4 s each time. Once, as soon as callbacks do come.
        """
        if not self._frozen:
            gc.freeze()
            self._frozen = True

    def _next_batch(self) -> list[_Waiting]:
        """The ends at the head of the queue that are of one connection."""
        batch = [self._waiting.popleft()]
        while self._waiting and len(batch) < MOST_AT_ONCE and self._waiting[0].kling_conn_id == batch[0].kling_conn_id:
            batch.append(self._waiting.popleft())
        return batch


def _answer(batch: list[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.word.done():
            waiting.word.set_exception(error)
