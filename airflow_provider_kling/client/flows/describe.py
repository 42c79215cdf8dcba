"""Tasks as sentences for the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_kling.client.flows.spans import format_seconds
from airflow_provider_kling.errors import KlingSlotsFullError

if TYPE_CHECKING:
    from airflow_provider_kling.api import Task


def describe(task: Task) -> str:
    """The status of a task, with how long it took and what it cost where that is known."""
    took = ""
    if task.updated_at and task.created_at:
        took = f" after {format_seconds((task.updated_at - task.created_at).total_seconds())}"
    if task.succeeded:
        cost = f"; it cost {task.units} units" if task.units else ""
        return f"Kling task {task.kling_task_id} succeeded{took}{cost}."
    if task.failed:
        return f"Kling task {task.kling_task_id} failed{took}: {task.message or 'no reason given'}."
    unknown = "" if task.known_status else ", a status that this version does not know; still waiting"
    return f"Kling task {task.kling_task_id}: {task.status}{unknown}."


def describe_refusal(error: Exception) -> str:
    """Why a submission waits, without a full stop: for a slot of the account or of the user's own limit, or for the API."""
    if not isinstance(error, KlingSlotsFullError):
        return str(error).rstrip(".")
    if error.own_limit:
        return f"The connection's {error.message}"
    return "All slots of the account are taken"


def describe_adopted(external_id: str, task: Task, *, certain: bool | None = None) -> str:
    """That this external id already has a task, and that it is used instead of a new one, also if it failed.

    `certain` says that it may be the task of another request: True if it must be, False if nobody knows.
    """
    if task.failed:
        outcome = f", which failed ({task.message or 'no reason given'}): no other one is created in this try."
    else:
        outcome = f" ({task.status}): adopted, nothing is paid again."
    found = f"External id {external_id} already has Kling task {task.kling_task_id}{outcome}"
    if certain is None:
        return found
    maker = "This run has not created it" if certain else "Whether this run has created it is not known"
    return (
        f"{found} {maker}: its scene and its images may be those of another request. "
        "Requests that share an external_task_id share one video."
    )
