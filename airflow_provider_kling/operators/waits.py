"""The wait of KlingEffectOperator for its task: on this worker, or in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kling.client import seconds
from airflow_provider_kling.metrics import WAIT_SPAN

if TYPE_CHECKING:
    from airflow_provider_kling.api import Task
    from airflow_provider_kling.client import Deadline
    from airflow_provider_kling.hooks import KlingHook


def wait_for(operator: Any, hook: KlingHook, task: Task, deadline: Deadline, effect_scene: str | None) -> Task:
    """The task, done. With `deferrable`, the worker is released until then, and this does not return."""
    from airflow_provider_kling.client import flows, last_answer_by

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
