"""Several accounts that share a load: the hook of the account that a row or a task belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.arguments import conn_ids
from airflow_provider_kling.hooks.kling import KlingHook

if TYPE_CHECKING:
    from airflow_provider_kling.client import Submission


def hooks_of(kling_conn_id: str | Iterable[str]) -> list[KlingHook]:
    """A hook for each connection of a list, or of a text that separates their ids with commas."""
    return [KlingHook(conn_id) for conn_id in conn_ids(kling_conn_id)]


def account_of(submission: Submission, kling_conn_id: str | Iterable[str], *, place: int | str) -> KlingHook:
    """The account in which to create the task. With `adopt_existing`, an account that already has the task comes first.

    Raises the error of a lookup: while one account cannot be queried, it is unknown which account has the task.
    """
    hooks = hooks_of(kling_conn_id)
    if len(hooks) == 1:
        return hooks[0]
    from airflow_provider_kling.dispatch import shares_of, turn  # only where several accounts share the load

    assigned = hooks[turn(place, shares_of([hook.settings for hook in hooks]))]
    if not submission.adopt_existing:
        return assigned
    assigned_first = sorted(hooks, key=lambda hook: hook is not assigned)
    return _first_with_task(submission.external_id, assigned_first) or assigned


def hook_of(any_id: str, kling_conn_id: str | Iterable[str], event: Any = None) -> KlingHook:
    """The account that has the task with this id: the account that a trigger's event names, or the first with the task.

    If no account has the task, the first one is returned: a query of the task there raises KlingTaskNotFound.
    """
    event_conn_id = event.get("kling_conn_id") if isinstance(event, dict) else None
    hooks = hooks_of(kling_conn_id)
    if len(hooks) == 1:
        return hooks[0]
    if isinstance(event_conn_id, str):
        return KlingHook(event_conn_id)
    return _first_with_task(any_id, hooks) or hooks[0]


def _first_with_task(any_id: str, hooks: Iterable[KlingHook]) -> KlingHook | None:
    """The first of these accounts that has the task with this id. Raises the error of a lookup."""
    for hook in hooks:
        with hook:
            if hook.find_task(any_id):
                return hook
    return None
