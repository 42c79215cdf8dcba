"""What a retry must know of the tries before it: whether it is one, and which task they have paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.api import Task
    from airflow_provider_kling.client import Submission
    from airflow_provider_kling.hooks import KlingHook


def is_retry(context: Context) -> bool:
    """Whether Airflow itself tries this task again, after a failure. The first try after a clear is none.

    A clear gives a task as many tries as it had at first: Airflow adds them to the number of the last one.
    """
    ti, retries = context["ti"], context["task"].retries or 0
    return bool(ti.try_number > (ti.max_tries or 0) - retries + 1)


def task_of_other_request(hook: KlingHook, submission: Submission) -> Task | None:
    """The newest task that this task instance has in this run for another request than this one, and that has not failed.

    None where the task of this request exists itself. It costs a look at the account's list, on retries alone.
    """
    from airflow_provider_kling.client import flows

    if hook.find_task(submission.external_id) is not None:
        return None
    made = hook.run(flows.made_for_row(hook.product, submission))
    others = [task for task in made if not submission.surely_made(task)]
    return max(others, key=lambda task: (task.created_at is not None, task.created_at), default=None)
