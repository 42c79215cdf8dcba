"""The user's own limit of running tasks: the `max_concurrency` of the connection."""

from __future__ import annotations

from airflow_provider_kling.api import MAX_PAGE_SIZE, Call, Product, Task, list_call
from airflow_provider_kling.client.settings import KlingSettings
from airflow_provider_kling.errors import KlingSlotsFullError


def capacity_call(product: Product) -> Call[list[Task]]:
    """The call for the tasks that count: one large page of the account's list."""
    return list_call(product, page_size=MAX_PAGE_SIZE)


def check_capacity(settings: KlingSettings, tasks: list[Task]) -> None:
    """Raise KlingSlotsFullError if `max_concurrency` tasks are running, as Kling does for an account without a free slot.

    The count precedes the create: if several processes do both at the same moment, each may create one task too many.
    """
    limit, running = settings.max_concurrency, sum(not task.done for task in tasks)
    if limit is not None and running >= limit:
        message = f"max_concurrency is {limit}, and {running} tasks are running"
        error = KlingSlotsFullError(message, code=1303, speaker=f"Connection {settings.conn_id}")
        error.own_limit = True
        raise error
