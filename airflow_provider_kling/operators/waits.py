"""What KlingEffectOperator does with its task: waits for it, on this worker or in the triggerer, and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kling.client import flows, last_answer_by, seconds
from airflow_provider_kling.metrics import WAIT_SPAN
from airflow_provider_kling.outcomes import FailureRecord, push_task_ids
from airflow_provider_kling.row_metrics import was_cleared, was_replaced
from airflow_provider_kling.task_end import end

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.api import Task
    from airflow_provider_kling.client import Deadline, Submission
    from airflow_provider_kling.hooks import KlingHook


def go_on(
    operator: Any, context: Context, hook: KlingHook, submission: Submission, record: FailureRecord, deadline: Deadline
) -> Any:
    """With the task of KlingEffectOperator: wait for it, if that is asked for, and end. Returns what the Airflow task returns."""
    task: Any = record.task
    record.counted = task.done and (was_cleared(context) or was_replaced(context))
    record.effect_scene = operator.effect_scene if submission.surely_made(task) else None
    operator.log.info("%s", flows.describe(task))
    push_task_ids(context, task, row_id=operator.row_id, effect_scene=record.effect_scene)
    if not operator.wait_for_completion:
        return task.kling_task_id
    if not task.done:
        record.task = task = wait_for(operator, hook, task, deadline, record.effect_scene)
    return end(operator, context, hook, task, record)


def wait_for(operator: Any, hook: KlingHook, task: Task, deadline: Deadline, effect_scene: str | None) -> Task:
    """The task, done. With `deferrable`, the worker is released until then, and this does not return."""
    interval = seconds(operator.poll_interval, "poll_interval")
    if operator.deferrable:
        from airflow_provider_kling.triggers import KlingTaskTrigger, defer

        defer(
            operator,
            KlingTaskTrigger,
            hook=hook,
            deadline=deadline.unix,
            poll_interval=interval,
            kling_task_id=task.kling_task_id,
            effect_scene=effect_scene,
        )
    flow = flows.wait(
        hook.product,
        task.kling_task_id,
        deadline=deadline.monotonic,
        poll_interval=interval,
        status=task.status,
        conn_id=hook.kling_conn_id,
    )
    return hook.run(flow, last_answer_by(deadline.monotonic), span=WAIT_SPAN)
