"""The page of the charges that a task has written, rendered anew from its table: nothing else is read from where it names one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from airflow_provider_kling import reconciling
from airflow_provider_kling.plugin.database import find_run, return_value
from airflow_provider_kling.plugin.stores import UnreadableError
from airflow_provider_kling.plugin.xcoms import decode


def policy() -> str:
    """The Content-Security-Policy of the page: its own, in Airflow's frame alone."""
    return f"{reconciling.page_policy()}; frame-ancestors 'self'"


def summary_of(dag_id: str, run_id: str, task_id: str, map_index: int | None) -> Mapping[str, Any] | None:
    """The summary that a task instance has returned; None where there is none."""
    from airflow.utils.session import create_session

    with create_session() as session:
        run = find_run(session, dag_id, run_id)
        raw = return_value(session, run, task_id, -1 if map_index is None else map_index) if run else None
    (value,) = decode([raw])
    return value if isinstance(value, Mapping) and isinstance(value.get("table"), str) else None


def page(summary: Mapping[str, Any]) -> Iterator[str]:
    """The page piece by piece. Raises UnreadableError now rather than later, where the table cannot be read."""
    from airflow_provider_kling.object_paths import storage_path

    location = summary["table"]
    if location.rpartition("/")[2] != reconciling.TABLE:
        raise UnreadableError(location, f"it is no {reconciling.TABLE}")
    try:
        pieces = reconciling.render_charges(reconciling.written_lines(storage_path(location)), summary)
        return chain([next(pieces)], pieces)  # all lines are read before the first piece
    except FileNotFoundError:
        raise UnreadableError(location, "there is no such file") from None
    except Exception as error:  # noqa: BLE001 - each store has errors of its own
        raise UnreadableError(location, error) from None
