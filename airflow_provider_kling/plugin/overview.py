"""The last runs of the DAGs that use Kling, for the page "Kling".

On a large database this stays cheap, because it never searches task instances:
- which DAGs use Kling stands in their serialized form, which is searched once for each version of a DAG, and remembered;
- their last runs come by the indexes of `dag_run`;
- a run is counted by what it has left: the summary of its results, or the rows of a run of ordinary size. Counts of a run that
  is over are remembered. A request counts runs anew for a bounded time; what is left over is counted by the next one, and until
  then shows the states of its task instances.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.plugin import answers, views
from airflow_provider_kling.plugin.cache import Cache
from airflow_provider_kling.plugin.dag_shape import SIGN, KlingTask
from airflow_provider_kling.plugin.database import Run, run_of, shape_of
from airflow_provider_kling.plugin.run_row import RUNNING, STATES, WAITING
from airflow_provider_kling.results import ERROR, units_text

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MOST_RUNS = 200  # of an answer
MOST_RUNNING = 100  # runs under way whose slots are counted
MOST_INSTANCES = 12_000  # of a run that is counted row by row
BUDGET = 2.0  # seconds in which a request counts runs
FRESH = 10.0  # seconds for which a run that goes on is not counted anew
_CHUNK = 200  # serialized DAGs that are searched at once

_uses_kling: dict[str, bool] = {}  # hash of a serialized DAG → whether it has a task of this package
_counted: Cache[tuple[Any, ...], Counts] = Cache(5000)


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The rows of a run by state, and what became of them. `units` is None where they are not counted yet."""

    by_state: dict[str, int]
    units: str | None = None
    videos: int | None = None
    conn_ids: list[str] = field(default_factory=list)
    running_in: dict[str, int] = field(default_factory=dict)
    report: str | None = None


def runs_answer(user: Any, *, limit: int, dag_id: str | None) -> dict[str, Any]:
    """The last runs that the user may see, and the slots in use."""
    from airflow.utils.session import create_session

    with create_session() as session:
        readable = readable_dags(session, user)
        runs = _last_runs(session, readable if dag_id is None else readable & {dag_id}, limit)
        running = _running(session, readable)
        ids = {run.id: run for run in [*running, *runs]}
        sizes = _sizes(session, ids.values(), {dag: _tasks_of(session, dag) for dag in {run.dag_id for run in ids.values()}})
    counted = _count_all([*running, *runs], sizes)
    slots: Counter[str] = Counter()
    for run in running:
        slots.update(counted[run.id].running_in)
    return {
        "runs": [_run(run, counted[run.id]) for run in runs],
        "slots": [{"kling_conn_id": name, "in_use": number} for name, number in sorted(slots.items())],
        "dag_ids": sorted(readable),
        "as_of": answers.iso(datetime.now(timezone.utc)),
    }


def readable_dags(session: Session, user: Any) -> set[str]:
    """The DAGs that use Kling and whose XComs the user may read."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity

    manager = get_auth_manager()
    listed = kling_dags(session) & set(manager.get_authorized_dag_ids(user=user, method="GET"))
    return {
        dag_id
        for dag_id in listed
        if manager.is_authorized_dag(method="GET", access_entity=DagAccessEntity.XCOM, details=_details(dag_id), user=user)
    }


def _details(dag_id: str) -> Any:
    from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
    from airflow.models.dag import DagModel

    if not hasattr(DagModel, "get_team_name"):  # before Airflow 3.2
        return DagDetails(id=dag_id)
    return DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))


def kling_dags(session: Session) -> set[str]:
    """The DAGs that have, or had in an earlier version, a task of this package."""
    from airflow.models.serialized_dag import SerializedDagModel as Model
    from sqlalchemy import select

    known = list(session.execute(select(Model.dag_id, Model.dag_hash)))
    new = sorted({dag_hash for _, dag_hash in known} - _uses_kling.keys())
    for start in range(0, len(new), _CHUNK):
        chunk = new[start : start + _CHUNK]
        found = _with_sign(session, chunk)
        _uses_kling.update({dag_hash: dag_hash in found for dag_hash in chunk})
    return {dag_id for dag_id, dag_hash in known if _uses_kling.get(dag_hash)}


def _with_sign(session: Session, hashes: Collection[str]) -> set[str]:
    """Those of these serialized DAGs in which the field stands that all tasks of this package have."""
    from airflow.models.serialized_dag import SerializedDagModel as Model
    from sqlalchemy import Text, cast, select

    chosen = Model.dag_hash.in_(hashes)
    text = cast(Model._data, Text)
    found = set(session.scalars(select(Model.dag_hash).where(chosen, text.contains(SIGN, autoescape=True))))
    for model in session.scalars(select(Model).where(chosen, Model._data_compressed.is_not(None))):
        if SIGN in str(model.data):
            found.add(model.dag_hash)
    return found


def _tasks_of(session: Session, dag_id: str) -> dict[str, KlingTask]:
    from airflow.models.serialized_dag import SerializedDagModel as Model
    from sqlalchemy import select

    tasks: dict[str, KlingTask] = {}
    query = select(Model.id, Model.dag_hash).where(Model.dag_id == dag_id).order_by(Model.created_at.desc()).limit(5)
    for number, dag_hash in reversed(list(session.execute(query))):
        tasks.update(shape_of(session, number, dag_hash))
    return tasks


def _last_runs(session: Session, dag_ids: Collection[str], limit: int) -> list[Run]:
    from airflow.models.dagrun import DagRun

    if not dag_ids:
        return []
    query = _run_columns().where(DagRun.dag_id.in_(sorted(dag_ids))).order_by(DagRun.run_after.desc(), DagRun.id.desc())
    return [run_of(row) for row in session.execute(query.limit(limit))]


def _running(session: Session, dag_ids: Collection[str]) -> list[Run]:
    from airflow.models.dagrun import DagRun

    if not dag_ids:
        return []
    query = _run_columns().where(DagRun.dag_id.in_(sorted(dag_ids)), DagRun.state == "running").order_by(DagRun.id.desc())
    return [run_of(row) for row in session.execute(query.limit(MOST_RUNNING))]


def _run_columns() -> Any:
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    return select(DagRun.id, DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.start_date, DagRun.end_date)


def _sizes(session: Session, runs: Iterable[Run], tasks: dict[str, dict[str, KlingTask]]) -> dict[tuple[str, str], Counter[str]]:
    """The Kling task instances of each run by state, a sensor and the task that it waits for counted once."""
    from airflow.models.taskinstance import TaskInstance as TI  # noqa: N817 - Airflow's own name for it
    from sqlalchemy import func, select

    sizes: dict[tuple[str, str], Counter[str]] = {}
    by_dag: dict[str, list[str]] = {}
    for run in runs:
        by_dag.setdefault(run.dag_id, []).append(run.run_id)
    for dag_id, run_ids in by_dag.items():
        waited_for = {task.waits_for for task in tasks[dag_id].values()}
        names = sorted(name for name in tasks[dag_id] if name not in waited_for)
        query = (
            select(TI.run_id, TI.state, func.count())
            .where(TI.dag_id == dag_id, TI.run_id.in_(run_ids), TI.task_id.in_(names))
            .group_by(TI.run_id, TI.state)
        )
        for run_id, state, number in session.execute(query):
            sizes.setdefault((dag_id, run_id), Counter())[str(getattr(state, "value", state) or "none")] += number
    return sizes


def _count_all(runs: Iterable[Run], sizes: dict[tuple[str, str], Counter[str]]) -> dict[int, Counts]:
    end = time.monotonic() + BUDGET
    counted: dict[int, Counts] = {}
    for run in runs:
        if run.id not in counted:
            counted[run.id] = _count(run, sizes.get((run.dag_id, run.run_id), Counter()), end)
    return counted


def _count(run: Run, states: Counter[str], end: float) -> Counts:
    key = (run.id, run.state, run.ended_at, *sorted(states.items()))
    if known := _counted.get(key):
        return known
    if not states or sum(states.values()) > MOST_INSTANCES or time.monotonic() > end:
        return Counts(by_state=_by_state(states))
    if run.over:
        view = views.build(run.dag_id, run.run_id, count_only=True)
    else:
        view = views.view_of(run.dag_id, run.run_id, max_age=FRESH)
    if view is None:  # it has been deleted meanwhile
        return Counts(by_state=_by_state(states))
    counts = Counts(
        by_state=dict(view.counts),
        units=units_text(view.units),
        videos=view.videos,
        conn_ids=view.conn_ids,
        running_in=dict(view.running_in),
        report=answers.api_url(view, "report") if sum(view.counts.values()) else None,
    )
    return _counted.put(key, counts) if view.final else counts


def _by_state(states: Counter[str]) -> dict[str, int]:
    """Rows by state, as far as the states of task instances tell."""
    known = {
        "success": "succeed",
        "failed": ERROR,
        "upstream_failed": ERROR,
        "skipped": ERROR,
        "running": RUNNING,
        "deferred": RUNNING,
    }
    found = dict.fromkeys(STATES, 0)
    for state, number in states.items():
        if state != "removed":
            found[known.get(state, WAITING)] += number
    return found


def _run(run: Run, counts: Counts) -> dict[str, Any]:
    return {
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "state": run.state,
        "started_at": answers.iso(run.started_at),
        "ended_at": answers.iso(run.ended_at),
        "rows": sum(counts.by_state.values()),
        "counts": counts.by_state,
        "units": counts.units,
        "videos": counts.videos,
        "conn_ids": counts.conn_ids,
        "ui": answers.tab_url(run.dag_id, run.run_id),
        "report": counts.report,
    }
