"""How an operator or sensor defers, and whether the triggerer may end its task."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from airflow.providers.common.compat.sdk import BaseOperator
from airflow.sdk import get_current_context
from airflow.sdk.execution_time.xcom import XCom

from airflow_provider_kling.arguments import conn_ids
from airflow_provider_kling.client import flows
from airflow_provider_kling.manifests import is_portable
from airflow_provider_kling.redaction import show_place
from airflow_provider_kling.row_metrics import row_scene_of
from airflow_provider_kling.triggers.base import HOLD_BACK, VERSION

if TYPE_CHECKING:
    from airflow_provider_kling.hooks import KlingHook
    from airflow_provider_kling.naming import SaveAs
    from airflow_provider_kling.triggers.base import OneEventTrigger
    from airflow_provider_kling.triggers.waiting import TaskWaitTrigger

    class CanDefer(Protocol):
        """The part of any operator or sensor that a deferral uses."""

        execution_timeout: timedelta | None

        @property
        def log(self) -> Any: ...

        @property
        def defer(self) -> Callable[..., NoReturn]: ...

    class Deferrable(CanDefer, Protocol):
        """The part of an operator or sensor for one task that this module uses."""

        row_id: str | None
        save_to: str | None
        save_as: SaveAs
        end_from_trigger: bool
        end_if_possible: bool
        do_xcom_push: bool
        outlets: Any
        on_success_callback: Any

        def iter_mapped_dependants(self) -> Iterator[Any]: ...


DEFER_GRACE = 300.0  # seconds past the deadline, after which Airflow fails the task if no triggerer runs

# The methods that only a worker calls at the end of a task. Those of this package and of Airflow do nothing that is missed.
AT_THE_END = ("execute_complete", "resume_execution", "post_execute")


def defer(operator: Deferrable, trigger: type[TaskWaitTrigger], *, hook: KlingHook, deadline: float, **kwargs: Any) -> NoReturn:
    """Let the triggerer wait for an operator or sensor, until `deadline` (Unix seconds) or its `execution_timeout`.

    Raises KlingSettingsError here, on the worker, if the connection is missing or cannot work.
    """
    hook.settings  # noqa: B018 - reads and checks the connection
    deadline, limit = bounded(operator, deadline)
    operator.log.info("Waiting in the triggerer, at most %s.", limit)
    defer_with(
        operator,
        trigger(
            kling_conn_id=hook.kling_conn_id,
            deadline=deadline,
            not_before=time.time() + HOLD_BACK,
            version=VERSION,
            row_id=operator.row_id,
            row_scene=row_scene_of(operator),
            save_to=operator.save_to,
            save_as=operator.save_as.to_json() if operator.save_to else None,
            end_from_trigger=_may_end(operator),
            **kwargs,
        ),
        deadline=deadline,
    )


def defer_with(operator: CanDefer, trigger: OneEventTrigger, *, deadline: float) -> NoReturn:
    """Defer with this trigger. Airflow itself fails the task some time after `deadline` (Unix seconds)."""
    remaining = max(0.0, deadline - time.time())
    operator.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=remaining + DEFER_GRACE))
    raise AssertionError("unreachable")


def bounded(operator: CanDefer, deadline: float) -> tuple[float, str]:
    """The earlier of `deadline` (Unix seconds) and what `execution_timeout` leaves from now on, and the wait as a text.

    Airflow itself does not apply `execution_timeout` to a deferred task.
    """
    now = time.time()
    if operator.execution_timeout is None or now + operator.execution_timeout.total_seconds() >= deadline:
        return deadline, flows.format_seconds(deadline - now)
    deadline = now + operator.execution_timeout.total_seconds()
    return deadline, f"{flows.format_seconds(deadline - now)} (its execution_timeout)"


def check_connections(kling_conn_id: str | Iterable[str]) -> None:
    """Raise KlingSettingsError on the worker for a connection that is missing or cannot work, before it defers."""
    from airflow_provider_kling.hooks import KlingHook

    for conn_id in conn_ids(kling_conn_id):
        KlingHook(conn_id).settings  # noqa: B018 - reads and checks the connection


def _may_end(operator: Deferrable) -> bool:
    """Whether the triggerer may end this task in success. If it may not, logs the reason: of a mapped task once for all."""
    if not (operator.end_from_trigger or operator.end_if_possible):
        return False
    reason = _reason_for_worker(operator)
    if reason:
        usual, what = logging.INFO, "A worker ends this task, not the triggerer"
        if operator.end_from_trigger:
            usual, what = logging.WARNING, "end_from_trigger is set, but a worker ends this task"
        operator.log.log(usual if _is_first_of_its_kind() else logging.DEBUG, "%s: %s.", what, reason)
    return not reason


def _is_first_of_its_kind() -> bool:
    """Whether no other instance of a mapped task comes before this one in its DAG run."""
    map_index = get_current_context()["ti"].map_index
    return map_index is None or map_index <= 0


def _reason_for_worker(operator: Deferrable) -> str:
    """Why only a worker can end this task; an empty text if the triggerer can."""
    if not hasattr(XCom, "aset"):
        return "before Airflow 3.3 the triggerer cannot write a return value"
    if operator.outlets:
        return "it has outlets, whose asset events only a worker creates"
    if operator.on_success_callback:
        return "only a worker calls on_success_callback"
    if getattr(operator, "_post_execute_hook", None) is not None:
        return "only a worker calls post_execute"
    if method := next((name for name in AT_THE_END if _is_users_own(operator, name)), None):
        return f"only a worker calls {method}, and {type(operator).__name__} has its own"
    if _success_listeners():
        return "a plugin listens for the success of tasks, which only a worker reports"
    if not operator.do_xcom_push or getattr(operator, "multiple_outputs", False):
        return "do_xcom_push or multiple_outputs is not at its default"
    if getattr(operator, "returns_dag_result", False) or next(operator.iter_mapped_dependants(), None) is not None:
        return "its return value is the DAG's result, or is mapped over"
    if operator.save_to and not is_portable(operator.save_to):
        return f"save_to {show_place(operator.save_to)!r} may be another folder for the triggerer (see [kling] shared_folders)"
    return ""


def _is_users_own(operator: Any, method: str) -> bool:
    """Whether a subclass, or the object itself, has this method in place of the one of this package or of Airflow."""
    if method in vars(operator):
        return True
    owner = next((cls for cls in type(operator).__mro__ if method in vars(cls)), BaseOperator)
    return not owner.__module__.startswith(("airflow_provider_kling.", "airflow."))


def _success_listeners() -> bool:
    """Whether a plugin of Airflow (OpenLineage is one) is notified when a worker ends a task in success."""
    from airflow.sdk.listener import get_listener_manager

    return bool(get_listener_manager().hook.on_task_instance_success.get_hookimpls())
