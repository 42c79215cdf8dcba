"""The end of a request in the metrics: with its video or without, what it cost, and how long Kling worked on it.

Each end is counted once, by whoever brings it to its end in Airflow: a worker, or a triggerer that ends the task itself.

May import `hooks` and everything below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.instances import earlier_attempt, iteration_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.api import Task
    from airflow_provider_kling.metrics import Sink

SEVERAL = "several"  # the tag of a request that ended before it was known which of several accounts it belongs to


def count_end(
    sink: Sink, *, status: str, conn_id: str, scene: str | None, task: Task | None, error_kind: str | None = None
) -> None:
    """Count a request that has ended with this status. `task` is its task at Kling, if it has one.

    `error_kind` is what its error is about, where it has no video.
    """
    from airflow_provider_kling.api import SUCCEED
    from airflow_provider_kling.metrics import DONE, FAILED, SECONDS_AT_KLING, UNITS  # only at an end
    from airflow_provider_kling.results import decimal_of

    if status == SUCCEED:
        sink.record(DONE, conn_id=conn_id, scene=scene)
    else:
        sink.record(FAILED, conn_id=conn_id, scene=scene, kind=status, error_kind=error_kind or "unknown")
    if task is None or not task.done:
        return
    if units := float(decimal_of(task.units)):
        sink.record(UNITS, units, conn_id=conn_id, scene=scene)
    if task.created_at and task.updated_at:
        seconds = (task.updated_at - task.created_at).total_seconds()
        sink.record(SECONDS_AT_KLING, max(0.0, seconds), conn_id=conn_id, scene=scene)


def account_tag(kling_conn_id: Any) -> str:
    """The connection of an operator as a tag; of several, which one it is to be is not known yet."""
    return kling_conn_id if isinstance(kling_conn_id, str) and "," not in kling_conn_id else SEVERAL


def was_cleared(context: Context) -> bool:
    """Whether this task instance was cleared: a task that is done already was counted by an earlier run.

    A retry is something else: the try before has failed, so it has counted nothing.
    """
    ti, retries = context["ti"], context["task"].retries or 0
    return ti.try_number > 1 and (ti.max_tries or 0) > retries and not context.get("task_reschedule_count", 0)


def was_replaced(context: Context) -> bool:
    """Whether this start has nothing before it, in a loop: a task that is done already is that of a task instance in its place.

    Airflow replaces the task instances of later iterations where the gate of their loop is cleared.
    """
    return not earlier_attempt(context) and iteration_of(context) is not None


def is_last_try(context: Context) -> bool:
    """Whether Airflow does not try this task again if it fails now."""
    ti = context["ti"]
    return bool(ti.try_number > (ti.max_tries or 0))


def row_scene_of(operator: Any) -> str | None:
    """The scene of the manifest's row that an operator or sensor works on, if it has one."""
    row = getattr(operator, "row", None)
    scene = row.get("effect_scene") if isinstance(row, Mapping) else None
    return scene if isinstance(scene, str) else None
