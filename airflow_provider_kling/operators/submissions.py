"""The submission of a task instance, and the task that an earlier attempt may have created."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kling.outcomes import earlier_attempt

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.api import Task, TaskRequest
    from airflow_provider_kling.client import Submission
    from airflow_provider_kling.hooks import KlingHook


def submission_of(
    context: Context,
    request: TaskRequest,
    *,
    external_task_id: str | None,
    row_id: str | None,
    fresh: str | None,
    callback_url: str | None,
) -> Submission:
    """The submission of this task instance, with the user's own external id or the one derived from the task instance."""
    from airflow_provider_kling.api import check_id
    from airflow_provider_kling.client import Submission, external_id_of

    ti = context["ti"]
    place = row_id or (ti.map_index if ti.map_index is not None else -1)
    external_id = external_task_id or external_id_of(
        request, dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, place=place, fresh=fresh
    )
    return Submission(
        request=request,
        external_id=check_id(external_id),
        callback_url=callback_url,
        adopt_existing=earlier_attempt(context),
    )


def adoptable_task(hook: KlingHook, submission: Submission, *, log: Any) -> Task | None:
    """The task that an earlier attempt created. None if there is none, it failed, or it cannot be looked up at the moment."""
    from airflow_provider_kling.client import flows
    from airflow_provider_kling.errors import KlingError

    try:
        task = hook.find_task(submission.external_id)
    except KlingError as error:
        if not error.retryable:
            raise
        return None
    if task is None or task.failed:
        return None
    log.info("%s", flows.describe_adopted(submission.external_id, task))
    return task
