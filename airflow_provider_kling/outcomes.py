"""How work at Kling ends inside Airflow: a done task becomes a result, an error becomes the exception that fits.

Operator and sensor, waiting on a worker or deferred, all end here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

from airflow_provider_kling.errors import (
    KlingAnswerError,
    KlingError,
    KlingInputError,
    KlingTaskFailed,
    KlingTimeoutError,
)
from airflow_provider_kling.results import CREATED_TASK, FAILED_RESULT

try:  # since Airflow 3.2
    from airflow.sdk.exceptions import AirflowRescheduleException
except ImportError:
    from airflow.exceptions import AirflowRescheduleException  # type: ignore[no-redef,assignment,unused-ignore]

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.api import Task
    from airflow_provider_kling.hooks import KlingHook

__all__ = [
    "AirflowRescheduleException",
    "FailureRecord",
    "earlier_attempt",
    "finish",
    "first_start",
    "push_task_ids",
    "recording_failures",
    "seconds",
    "task_ids",
    "task_of",
]


def finish(
    hook: KlingHook, task: Task, *, save_to: str | None = None, effect_scene: str | None = None, row_id: str | None = None
) -> dict[str, Any]:
    """The result of a done task, with its videos saved under `save_to`; KlingTaskFailed for a failed one."""
    from airflow_provider_kling.results import result_of

    if task.succeeded and not task.videos:  # a list, where a trigger may have seen it, can leave out what a query brings
        task = hook.get_task(task.kling_task_id)
    paths = hook.save_videos(task, save_to) if save_to and task.succeeded else []
    result = result_of(task, effect_scene=effect_scene, paths=paths)
    return result if row_id is None else {**result, "row_id": row_id}


def task_of(event: Any) -> Task:
    """The task in a trigger's event. Raises the error that stands in it, and KlingAnswerError for anything else."""
    from airflow_provider_kling.api import Task, shorten

    match event:
        case {"task": data}:
            return Task.from_json(data)
        case {"timeout": str(message)}:
            raise KlingTimeoutError(message)
        case {"error": str(message), "retryable": bool(retryable), "invalid": bool(invalid)}:
            error = KlingInputError(message) if invalid else KlingError(message)
            error.retryable = retryable
            raise error
        case _:
            found = shorten(list(event)) if isinstance(event, dict) else type(event).__name__
            raise KlingAnswerError(f"The trigger ended with an event that this version does not know: {found}.")


@dataclass
class FailureRecord:
    """What is known of a row while it is worked on: its task, as soon as there is one, and the scene of its request or task."""

    task: Task | None = None
    effect_scene: str | None = None


@contextlib.contextmanager
def recording_failures(
    context: Context, *, row_id: str | None, effect_scene: str | None = None, sensor: bool = False
) -> Iterator[FailureRecord]:
    """Record what became of the row (XCom `failed_result`) before a KlingError goes on as Airflow expects it.

    An error that cannot pass by itself becomes AirflowFailException, so that no retry is spent on it. A sensor's time-out
    becomes AirflowSensorTimeout. Any other error stays as it is, and Airflow's retries apply.
    """
    record = FailureRecord(effect_scene=effect_scene)
    try:
        yield record
    except KlingError as error:
        from airflow_provider_kling.results import error_result

        failed = error_result(error, row_id=row_id, task=record.task, effect_scene=record.effect_scene)
        context["ti"].xcom_push(key=FAILED_RESULT, value=failed)
        if isinstance(error, KlingTimeoutError) and sensor:
            raise AirflowSensorTimeout(str(error)) from error
        if _worth_a_retry(error, sensor=sensor):
            raise
        raise AirflowFailException(str(error)) from error


def _worth_a_retry(error: KlingError, *, sensor: bool) -> bool:
    """Whether one of Airflow's retries may help. After a failed task, only an operator can ask for another one."""
    return error.may_pass and not (sensor and isinstance(error, KlingTaskFailed))


def earlier_attempt(context: Context) -> bool:
    """Whether an earlier attempt of this task instance may have sent a create."""
    return bool(context["ti"].try_number > 1 or context.get("task_reschedule_count", 0))


def first_start(context: Context, now: datetime) -> datetime:
    """When this try began, reschedules included."""
    if context.get("task_reschedule_count", 0):
        return context["ti"].get_first_reschedule_date(context) or now
    return now


def seconds(span: float | timedelta, what: str) -> float:
    """A span of time in seconds. KlingInputError, with the name `what`, for anything else."""
    if isinstance(span, timedelta):
        span = span.total_seconds()
    if isinstance(span, bool) or not isinstance(span, int | float) or not span > 0:
        raise KlingInputError(f"{what} is {span!r}; wanted is a positive number of seconds, or a timedelta.")
    return float(span)


def task_ids(task: Task, *, row_id: str | None) -> dict[str, Any]:
    """The ids of a task that exists now: the XCom `kling_task`, from which it can be found again."""
    return {"row_id": row_id, "kling_task_id": task.kling_task_id, "external_task_id": task.external_task_id}


def push_task_ids(context: Context, task: Task, *, row_id: str | None) -> None:
    """Push the XCom `kling_task`."""
    context["ti"].xcom_push(key=CREATED_TASK, value=task_ids(task, row_id=row_id))
