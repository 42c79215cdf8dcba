"""Threads for what blocks, apart from the event loop's own: Airflow needs those to get connections."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")

THREADS = 8  # for reading rows, images and files


class Threads:
    """A few threads, and a context manager. At its end calls that have not started are dropped, and none is waited for."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="kling-batch")

    async def run(self, function: Callable[[], T]) -> T:
        """What the function returns, called in one of the threads with the caller's context variables."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._executor, context.run, function)

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
