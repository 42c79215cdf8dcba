"""Saving the videos of a few tasks at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from airflow_provider_kling.api import Product, Task
from airflow_provider_kling.client import flows
from airflow_provider_kling.client.async_client import AsyncClient
from airflow_provider_kling.client.deadlines import monotonic_now
from airflow_provider_kling.errors import KlingDownloadError
from airflow_provider_kling.metrics import SAVE_SPAN
from airflow_provider_kling.naming import SaveAs

DOWNLOADS = 8  # tasks, unless the caller wants another number


class Downloads:
    """Bounds how many tasks have their videos saved at the same time, over all accounts that share it."""

    def __init__(self, most: int = DOWNLOADS) -> None:
        self._permits = asyncio.Semaphore(most)

    async def save(
        self,
        client: AsyncClient,
        product: Product,
        task: Task,
        destination: str,
        *,
        log: Callable[[str], object],
        deadline: float | None = None,
        save_as: SaveAs | None = None,
        take: Callable[[flows.Step], Awaitable[Any]] | None = None,
    ) -> flows.SavedFiles:
        """Store the videos of a succeeded task under this folder or URI; see `flows.save_files`.

        `take`, if given, takes the steps in place of `client.take`.

        Raises KlingDownloadError at the `deadline` (on the clock of the event loop), also while it waits for its turn.
        """
        await self._permit(deadline)
        try:
            flow = flows.save_files(product, task, destination, save_as or SaveAs())
            with client.sink.span(SAVE_SPAN, conn_id=client.settings.conn_id, kling_task_id=task.kling_task_id):
                return await client.run(flow, log=log, deadline=deadline, take=take)
        finally:
            self._permits.release()

    async def _permit(self, deadline: float | None) -> None:
        """Wait for a turn. Those that have theirs are bounded, too, so it comes."""
        try:
            await asyncio.wait_for(self._permits.acquire(), None if deadline is None else max(0.0, deadline - monotonic_now()))
        except asyncio.TimeoutError:
            raise KlingDownloadError("No time was left to load the videos: other downloads took it.", retryable=True) from None
