"""How an operator or sensor defers, and whether the triggerer may end its task."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NoReturn, Protocol

from airflow.sdk.execution_time.xcom import XCom

from airflow_provider_kling.client import flows
from airflow_provider_kling.manifests import is_portable
from airflow_provider_kling.redaction import show_place
from airflow_provider_kling.triggers.base import HOLD_BACK, VERSION
from airflow_provider_kling.triggers.waiting import TaskWaitTrigger

DEFER_GRACE = 300.0  # seconds past the deadline, after which Airflow fails the task if no triggerer runs


class Deferrable(Protocol):
    """The part of an operator or sensor that this module uses."""

    row_id: str | None
    save_to: str | None
    end_from_trigger: bool
    do_xcom_push: bool
    outlets: Any
    on_success_callback: Any

    @property
    def log(self) -> Any: ...

    @property
    def defer(self) -> Callable[..., NoReturn]: ...

    def iter_mapped_dependants(self) -> Iterator[Any]: ...


def defer(operator: Deferrable, trigger: type[TaskWaitTrigger], *, kling_conn_id: str, deadline: float, **kwargs: Any) -> NoReturn:
    """Let the triggerer wait for an operator or sensor, until `deadline` (Unix seconds)."""
    now = time.time()
    operator.log.info("Waiting in the triggerer, at most %s.", flows.format_seconds(deadline - now))
    operator.defer(
        trigger=trigger(
            kling_conn_id=kling_conn_id,
            deadline=deadline,
            not_before=now + HOLD_BACK,
            version=VERSION,
            row_id=operator.row_id,
            save_to=operator.save_to,
            end_from_trigger=_may_end(operator),
            **kwargs,
        ),
        method_name="execute_complete",
        timeout=timedelta(seconds=max(0.0, deadline - now) + DEFER_GRACE),
    )
    raise AssertionError("unreachable")


def _may_end(operator: Deferrable) -> bool:
    """Whether the triggerer may end this task in success. If the user wants that and it may not, logs the reason."""
    if not operator.end_from_trigger:
        return False
    reason = _reason_for_worker(operator)
    if reason:
        operator.log.warning("end_from_trigger is set, but a worker ends this task: %s.", reason)
    return not reason


def _reason_for_worker(operator: Deferrable) -> str:
    """Why only a worker can end this task; an empty text if the triggerer can."""
    if not hasattr(XCom, "aset"):
        return "before Airflow 3.3 the triggerer cannot write a return value"
    if operator.outlets:
        return "it has outlets, whose asset events only a worker creates"
    if operator.on_success_callback:
        return "only a worker calls on_success_callback"
    if not operator.do_xcom_push or getattr(operator, "multiple_outputs", False):
        return "do_xcom_push or multiple_outputs is not at its default"
    if getattr(operator, "returns_dag_result", False) or next(operator.iter_mapped_dependants(), None) is not None:
        return "its return value is the DAG's result, or is mapped over"
    if operator.save_to and not is_portable(operator.save_to):
        return f"save_to {show_place(operator.save_to)!r} may be another folder for the triggerer (see [kling] shared_folders)"
    return ""
