"""Saving the videos of a few tasks at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from airflow_provider_kling.api import Product, Task
from airflow_provider_kling.client import flows
from airflow_provider_kling.client.async_client import AsyncClient

DOWNLOADS = 8  # tasks, unless the caller wants another number


class Downloads:
    """Bounds how many tasks have their videos saved at the same time, over all accounts that share it."""

    def __init__(self, most: int = DOWNLOADS) -> None:
        self._permits = asyncio.Semaphore(most)

    async def save(
        self, client: AsyncClient, product: Product, task: Task, destination: str, *, log: Callable[[str], object]
    ) -> list[str]:
        """Store the videos of a succeeded task under this folder or URI; see `flows.save`. Returns their paths."""
        async with self._permits:
            return await client.run(flows.save(product, task, destination), log=log)
