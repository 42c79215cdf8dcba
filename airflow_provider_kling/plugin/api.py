"""The data of the pages as JSON, and the files that results name. Each route needs the right to read the DAG's XComs.

Functions that block are no coroutines: they run in the server's threads, not on its event loop.
"""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import APIRouter, Depends, HTTPException

from airflow_provider_kling.plugin import answers, views

NO_RUN = "There is no such run."
NO_ROW = "This run has no such row."

router = APIRouter(prefix="/api")
of_dag = APIRouter(prefix="/dags/{dag_id}", dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.XCOM))])


@of_dag.get("/rows")
def rows(dag_id: str, run_id: str, task_id: str | None = None, map_index: str | None = None) -> Any:
    view = views.view_of(dag_id, run_id)
    if view is None:
        raise HTTPException(404, NO_RUN)
    return answers.rows_answer(view, task_id=task_id or None, map_index=_index(map_index))


def _index(text: str | None) -> int | None:
    """A map index; None for none, as -1 and what Airflow 3.1 leaves of its placeholder are."""
    try:
        number = int(text or "-1")
    except ValueError:
        return None
    return number if number >= 0 else None


router.include_router(of_dag)
