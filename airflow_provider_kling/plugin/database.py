"""What Airflow's database knows of a run: its task instances, their rendered fields and their XComs.

A number of queries that does not depend on the rows of the run, each by an index. Nothing here decides what a row is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.plugin import regions
from airflow_provider_kling.plugin.cache import Cache
from airflow_provider_kling.plugin.dag_shape import KlingTask, kind_of_class, kling_tasks
from airflow_provider_kling.results import BATCH, CREATED_TASK, FAILED_RESULT, SUMMARY

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

RETURN_VALUE = "return_value"
KEYS = (RETURN_VALUE, FAILED_RESULT, CREATED_TASK, SUMMARY, BATCH)
MOST_INSTANCES = 20_000  # task instances of one run that are looked at
LARGEST_SUMMARY = 10_000  # characters of an XCom that may be the summary of a task like `collect`
MOST_SHAPES = 128  # DAG versions that are remembered

_shapes: Cache[tuple[str, str], dict[str, KlingTask]] = Cache(MOST_SHAPES)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A DAG run."""

    id: int
    dag_id: str
    run_id: str
    state: str
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def over(self) -> bool:
        return self.state in ("success", "failed")


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A task instance of a Kling task, with its XComs by key and its rendered template fields.

    `iteration` is that of the loop around the task, `region` what Airflow's addresses need to find it (both from Airflow 3.4 on).
    """

    task: KlingTask
    map_index: int
    iteration: int | None = None
    region: tuple[str, int] | None = None
    state: str | None
    ended_at: datetime | None = None
    xcoms: Mapping[str, Any] = field(default_factory=dict)
    rendered: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Records:
    """A run as the database has it. `rows_of`: lists of rows by the task that returned them. `summaries`: the return
    values of other tasks that are the summary of results, by task."""

    run: Run
    instances: list[Instance]
    rows_of: Mapping[str, list[Any]] = field(default_factory=dict)
    summaries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def find_run(session: Session, dag_id: str, run_id: str) -> Run | None:
    """The run with these ids. Airflow 3.1 hands out run ids in addresses as they are, so that a `+` arrives as a blank."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    columns = (DagRun.id, DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.start_date, DagRun.end_date)
    for name in dict.fromkeys((run_id, run_id.replace(" ", "+"))):
        found = session.execute(select(*columns).where(DagRun.dag_id == dag_id, DagRun.run_id == name)).first()
        if found:
            return run_of(found)
    return None


def run_of(row: Any) -> Run:
    """A run from the columns id, dag_id, run_id, state, start_date, end_date."""
    number, dag_id, run_id, state, started, ended = row
    return Run(
        id=number, dag_id=dag_id, run_id=run_id, state=str(getattr(state, "value", state) or ""), started_at=started, ended_at=ended
    )


def read_records(session: Session, run: Run, decode: Any) -> Records:
    """All that rows are made of. `decode` turns the raw values of XComs into values, many at once."""
    found = _instances(session, run)
    tasks = _tasks_of(session, run, found)
    kling = [row for row in found if row.task_id in tasks]
    sources = {task.rows_from for task in tasks.values() if task.rows_from}
    xcoms = _xcoms(session, run, tasks.keys())
    others = _other_xcoms(session, run, sources, tasks.keys())
    keys = [*xcoms, *others]
    values = dict(zip(keys, decode([*xcoms.values(), *others.values()]), strict=True))
    by_instance: dict[Any, dict[str, Any]] = {}
    for owner, key in xcoms:
        by_instance.setdefault(owner, {})[key] = values[owner, key]
    rendered = _rendered(session, run, tasks.keys()) if kling else {}
    other_values = {task_id: values[task_id, key] for task_id, key in others}
    position = regions.positions(session, run, found)
    return Records(
        run=run,
        instances=[
            Instance(
                task=tasks[row.task_id],
                **position(row),
                state=row.state and str(getattr(row.state, "value", row.state)),
                ended_at=row.end_date,
                xcoms=by_instance.get(regions.owner_of(row), {}),
                rendered=rendered.get(regions.owner_of(row), {}),
            )
            for row in kling
        ],
        rows_of={name: value for name, value in other_values.items() if name in sources and isinstance(value, list)},
        summaries={name: value for name, value in other_values.items() if is_summary(value)},
    )


def return_value(session: Session, run: Run, task_id: str, map_index: int) -> Any:
    """The raw return value of one task instance; None where it has none."""
    from airflow.models.xcom import XComModel as X
    from sqlalchemy import select

    place = (X.dag_run_id == run.id, X.task_id == task_id, X.map_index == map_index, X.key == RETURN_VALUE)
    return session.scalar(select(X.value).where(*place))


def is_summary(value: Any) -> bool:
    """Whether it is what `write_results`, `join_shards` and the batch return."""
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("results"), str)
        and isinstance(value.get("rows"), int)
        and isinstance(value.get("succeed"), int)
    )


def _instances(session: Session, run: Run) -> list[Any]:
    from airflow.models.taskinstance import TaskInstance as TI  # noqa: N817 - Airflow's own name for it
    from sqlalchemy import select

    columns = (TI.task_id, TI.map_index, TI.state, TI.end_date, TI.operator, TI.dag_version_id, *regions.columns_of(TI))
    query = select(*columns).where(TI.dag_id == run.dag_id, TI.run_id == run.run_id)
    return list(session.execute(query.order_by(TI.task_id, TI.map_index).limit(MOST_INSTANCES)))


def _tasks_of(session: Session, run: Run, instances: Iterable[Any]) -> dict[str, KlingTask]:
    """The Kling tasks of the run's DAG, in the versions that it ran with."""
    from airflow.models.serialized_dag import SerializedDagModel as Model
    from sqlalchemy import select

    instances = list(instances)
    versions = {row.dag_version_id for row in instances if row.dag_version_id}
    tasks: dict[str, KlingTask] = {}
    query = select(Model.id, Model.dag_hash).where(Model.dag_version_id.in_(versions)) if versions else None
    for number, dag_hash in session.execute(query.order_by(Model.created_at)) if query is not None else ():
        tasks.update(shape_of(session, number, dag_hash))
    known = {row.task_id: kind_of_class(row.operator) for row in instances}
    return {name: KlingTask(task_id=name, kind=kind) for name, kind in known.items() if kind} | tasks


def shape_of(session: Session, number: Any, dag_hash: str) -> dict[str, KlingTask]:
    """The Kling tasks of a serialized DAG."""
    from airflow.models.serialized_dag import SerializedDagModel as Model

    key = (str(number), dag_hash)
    if (known := _shapes.get(key)) is not None:
        return known
    model = session.get(Model, number)
    return _shapes.put(key, kling_tasks(model.data) if model else {})


def _xcoms(session: Session, run: Run, task_ids: Collection[str]) -> dict[tuple[Any, str], Any]:
    """The raw values that Kling tasks have left, by task instance and key; by the primary key of the table."""
    from airflow.models.xcom import XComModel as X
    from sqlalchemy import select

    if not task_ids:
        return {}
    query = select(*regions.owner_columns(X), X.key, X.value).where(
        X.dag_run_id == run.id, X.task_id.in_(sorted(task_ids)), X.key.in_(KEYS)
    )
    return {(tuple(owner), key): value for *owner, key, value in session.execute(query)}


def _other_xcoms(session: Session, run: Run, sources: Collection[str], known: Collection[str]) -> dict[tuple[str, str], Any]:
    """The raw return values of the tasks that others are mapped over, and of those that may have written results."""
    from airflow.models.xcom import XComModel as X
    from sqlalchemy import Text, cast, func, or_, select

    short = func.length(cast(X.value, Text)) < LARGEST_SUMMARY
    query = select(X.task_id, X.key, X.value).where(
        X.dag_run_id == run.id,
        X.map_index == -1,
        X.key == RETURN_VALUE,
        X.task_id.not_in(sorted(known)),
        or_(X.task_id.in_(sorted(sources)), short),
    )
    return {(task_id, key): value for task_id, key, value in session.execute(query.limit(200))}


def _rendered(session: Session, run: Run, task_ids: Collection[str]) -> dict[Any, Mapping[str, Any]]:
    """The rendered template fields, of which Airflow keeps those of the last runs."""
    from airflow.models.renderedtifields import RenderedTaskInstanceFields as Fields
    from sqlalchemy import select

    if regions.by_attempt(Fields):
        return regions.rendered(session, run, task_ids)
    query = select(Fields.task_id, Fields.map_index, Fields.rendered_fields).where(
        Fields.dag_id == run.dag_id, Fields.run_id == run.run_id, Fields.task_id.in_(sorted(task_ids))
    )
    return {(task_id, map_index): fields for task_id, map_index, fields in session.execute(query) if isinstance(fields, Mapping)}
