"""The fields of a name that the DAG run and the task instance bring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def date_of(context: Mapping[str, Any]) -> str | None:
    """The date that a run is meant for, like `2026-11-22`; None for a run without a logical date.

    It is that of the logical date in the time zone of the DAG: Airflow's `ds` is the date in UTC, which is another one where
    the DAG's midnight is not that of UTC.
    """
    return _day(context, context["dag_run"].logical_date)


def run_fields(context: Mapping[str, Any]) -> dict[str, Any]:
    """`dag_id`, `run_id`, `task_id`, `map_index` (None where the task is not mapped) and `date` of a task instance.

    A run without a logical date, as an asset starts one, has the date on which it was to start.
    """
    ti, run = context["ti"], context.get("dag_run")
    index = getattr(ti, "map_index", None)
    moment = getattr(run, "logical_date", None) or getattr(run, "run_after", None)
    return {
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": index if index is not None and index >= 0 else None,
        "date": _day(context, moment),
    }


def _day(context: Mapping[str, Any], moment: Any) -> str | None:
    return moment.astimezone(context["dag"].timezone).strftime("%Y-%m-%d") if moment else None
