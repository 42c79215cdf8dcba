"""The submission of a task instance, and the task that an earlier attempt may have created."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.arguments import conn_ids
from airflow_provider_kling.client import seconds
from airflow_provider_kling.instances import earlier_attempt, instance_key, may_have_created
from airflow_provider_kling.outcomes import first_start
from airflow_provider_kling.values import replace

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.api import Task, TaskRequest
    from airflow_provider_kling.client import Submission
    from airflow_provider_kling.hooks import KlingHook

LOG_EVERY = 20  # starts of a worker, about 5 minutes: what each of them found would fill the log for hours


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

    key = instance_key(context)
    external_id = external_task_id or external_id_of(
        request,
        dag_id=key.dag_id,
        run_id=key.run_id,
        task_id=key.task_id,
        place=row_id or key.map_index,
        fresh=fresh,
        iteration=key.iteration,
    )
    return Submission(
        request=request,
        external_id=check_id(external_id),
        callback_url=callback_url,
        # An id of the user's own that exists at the first start is worth a warning, also in a loop.
        adopt_existing=earlier_attempt(context) if external_task_id else may_have_created(context),
        scene=getattr(request, "effect_scene", None),
        max_attempts=max(1, context["ti"].try_number),  # what has failed in this try is not asked for again in it
    )


def deadline_of(context: Context, timeout: float | timedelta, now: float) -> float:
    """When the wait of this try ends, in Unix seconds: so long after its first start."""
    start = first_start(context, datetime.fromtimestamp(now, timezone.utc))
    return start.timestamp() + seconds(timeout, "timeout")


def called_back(submission: Submission, hook: KlingHook) -> Submission:
    """The submission with the URL that Kling is to call, where there is one: that of the receiver for "auto"."""
    if not submission.callback_url:
        return submission
    from airflow_provider_kling.hooks import callback_address

    return replace(submission, callback_url=callback_address(submission.callback_url, hook.kling_conn_id))


def log_level(context: Context) -> int:
    """The level for lines that each start of a rescheduled task repeats: INFO at the first start and now and then, else DEBUG."""
    return logging.INFO if (context.get("task_reschedule_count", 0) or 0) % LOG_EVERY == 0 else logging.DEBUG


def account_for(context: Context, submission: Submission, kling_conn_id: str | Sequence[str], *, log: Any, level: int) -> KlingHook:
    """The account for this submission. It is the same in all tries."""
    from airflow_provider_kling.hooks import account_of

    key = instance_key(context)
    hook = account_of(submission, kling_conn_id, place=key.map_index if key.is_mapped else submission.external_id)
    if len(conn_ids(kling_conn_id)) > 1:
        log.log(level, "Account %s.", hook.kling_conn_id)
    return hook


def adoptable_task(hook: KlingHook, submission: Submission, *, log: Any) -> Task | None:
    """The task that exists for this submission. None if there is none, it failed, or it cannot be looked up at the moment.

    A first attempt looks up only an id of the user's own: its task must be that of another request, which is a warning.
    """
    from airflow_provider_kling.client import flows
    from airflow_provider_kling.errors import KlingError

    if submission.derived and not submission.adopt_existing:
        return None
    try:
        task = hook.find_task(submission.external_id)
    except KlingError as error:
        if not error.retryable:
            raise
        return None
    if task is None or task.failed:
        return None
    from airflow_provider_kling.metrics import ADOPTED

    hook.get_conn().sink.record(ADOPTED, conn_id=hook.kling_conn_id, scene=submission.scene)
    if submission.derived or submission.adopt_existing:
        log.info("%s", flows.describe_adopted(submission.external_id, task))
    else:
        log.warning("%s", flows.describe_adopted(submission.external_id, task, certain=True))
    return task
