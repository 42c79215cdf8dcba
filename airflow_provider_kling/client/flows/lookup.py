"""Looking up a task: once, or until several queries in a row have shown that it does not exist."""

from __future__ import annotations

from airflow_provider_kling.api import NOT_FOUND_ADVICE, Product, Task, get_call
from airflow_provider_kling.client.flows.pauses import jittered, pause
from airflow_provider_kling.client.flows.steps import Flow
from airflow_provider_kling.errors import KlingTaskNotFound

LOST_AFTER = 3  # queries in a row that do not find a task, before it counts as lost
LOOKUP_PAUSE = 1.0  # seconds between them
LONGEST_LOOKUP_PAUSE = 15.0  # where there are many, they become rarer
OWN_ID_LOOKUPS = 8  # about a minute, for an id of the user's own that Kling says is used


def find(product: Product, any_id: str) -> Flow[Task | None]:
    """The task with this Kling task id or external id, if there is one."""
    try:
        task: Task = yield get_call(product, any_id)
    except KlingTaskNotFound:
        return None
    return task


def look_up(product: Product, any_id: str, *, lookups: int = LOST_AFTER, deadline: float | None = None) -> Flow[Task]:
    """The task with this id as it is now. Raises KlingTaskNotFound only after several queries in a row, or at the deadline."""
    for number in range(lookups):
        if number:
            seconds = min(LOOKUP_PAUSE * 2.0 ** max(0, number - LOST_AFTER + 1), LONGEST_LOOKUP_PAUSE)
            now = yield from pause(jittered(seconds), deadline)
            if deadline is not None and now >= deadline:
                break
        if task := (yield from find(product, any_id)):
            return task
    raise lost(any_id)


def lost(any_id: str) -> KlingTaskNotFound:
    """The error for a task that several queries in a row did not find."""
    return KlingTaskNotFound(f"no task has the id {any_id}", code=1201, http_status=400, advice=NOT_FOUND_ADVICE)
