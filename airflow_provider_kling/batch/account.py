"""The accounts that share the rows of a batch."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kling.api import Product
from airflow_provider_kling.batch.job import BatchJob
from airflow_provider_kling.batch.lookup import TaskLookup
from airflow_provider_kling.batch.previous import PreviousAttempts
from airflow_provider_kling.client import flows
from airflow_provider_kling.dispatch import Dispatcher
from airflow_provider_kling.errors import KlingAccountError, KlingError
from airflow_provider_kling.hooks import KlingHook

if TYPE_CHECKING:
    from airflow_provider_kling.client import AsyncClient


@dataclass(eq=False)
class Account:
    """One account of a batch.

    - `dispatcher`: creates and awaits tasks; shared with all its users on this event loop.
    - `client`: sends lookups and loads videos. It is the batch's own, so that downloads take no connections from polls.
    - `stopped`: the error after which nothing is created in it any more.
    """

    dispatcher: Dispatcher
    client: AsyncClient
    lookup: TaskLookup
    stopped: KlingError | None = None

    @property
    def conn_id(self) -> str:
        return self.client.settings.conn_id

    @property
    def answers_lookups(self) -> bool:
        """Whether tasks can be looked up: an account that may not create any more still can, refused keys cannot."""
        return self.stopped is None or isinstance(self.stopped, KlingAccountError)


@contextlib.asynccontextmanager
async def open_account(
    conn_id: str, job: BatchJob, product: Product, *, deadline: float, made: flows.MadeInRun | None
) -> AsyncIterator[Account]:
    """The account of a connection; `deadline` is monotonic, `made` is the run's.

    Raises KlingSettingsError for a connection that cannot work.
    """
    async with KlingHook.dispatched(conn_id, product) as dispatcher, KlingHook(conn_id, product=product) as hook:
        await hook.settings_in_time()
        client = await hook.aget_conn()
        with PreviousAttempts(client, product, deadline=deadline, made=made) as previous:
            lookup = TaskLookup(client, product, previous=previous, tries=job.tries, deadline=deadline)
            yield Account(dispatcher, client, lookup)
