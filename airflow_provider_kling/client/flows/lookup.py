"""Looking up a task: once, or until several queries in a row have shown that it does not exist."""

from __future__ import annotations

from airflow_provider_kling.api import NOT_FOUND_ADVICE, Product, Task, get_call
from airflow_provider_kling.client.flows.pauses import jittered
from airflow_provider_kling.client.flows.steps import Flow, Sleep
from airflow_provider_kling.errors import KlingTaskNotFound

LOST_AFTER = 3  # queries in a row that do not find a task, before it counts as lost
LOOKUP_PAUSE = 1.0  # seconds between them


def find(product: Product, any_id: str) -> Flow[Task | None]:
    """The task with this Kling task id or external id, if there is one."""
    try:
        task: Task = yield get_call(product, any_id)
    except KlingTaskNotFound:
        return None
    return task


def look_up(product: Product, any_id: str) -> Flow[Task]:
    """The task with this id as it is now. Raises KlingTaskNotFound only after several queries in a row."""
    for number in range(LOST_AFTER):
        if number:
            yield Sleep(jittered(LOOKUP_PAUSE))
        if task := (yield from find(product, any_id)):
            return task
    raise lost(any_id)


def lost(any_id: str) -> KlingTaskNotFound:
    """The error for a task that several queries in a row did not find."""
    return KlingTaskNotFound(f"no task has the id {any_id}", code=1201, http_status=400, advice=NOT_FOUND_ADVICE)
