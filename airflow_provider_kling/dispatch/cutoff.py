"""An end for whatever the dispatcher waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from airflow_provider_kling.client import format_seconds
from airflow_provider_kling.errors import KlingConnectionError

T = TypeVar("T")


async def cut_off(work: Coroutine[Any, Any, T], deadline: float, *, sent: bool = True) -> T:
    """What `work` returns or raises. At `deadline`, by the event loop's clock, it is cut off with KlingConnectionError.

    `sent` is false if the work sends nothing that could make a task.
    """
    # Not `wait_for`: on Python 3.10 and 3.11 it loses a cancellation that comes together with the result.
    loop = asyncio.get_running_loop()
    started = loop.time()
    task = loop.create_task(work)
    try:
        await asyncio.wait([task], timeout=max(0.0, deadline - started))
        if not task.done():
            raise KlingConnectionError(f"timed out after {format_seconds(loop.time() - started)}", sent=sent)
        return task.result()
    finally:
        task.cancel()
