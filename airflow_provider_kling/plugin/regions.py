"""Where a task instance is, from Airflow 3.4 on: in a region, which is the expansion of a mapped task or an execution of a loop.

Until then, task and map index tell one task instance of a run from another. From 3.4 on, its own id does: each iteration of a
loop has task instances with the same task and map index. What Airflow stores as `map_index` is then the index in the region.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

GATE = "LoopGateOperator"  # the operator of the task that ends each iteration: Airflow puts one into each loop


def by_attempt(model: Any) -> bool:
    """Whether a table is keyed by the id of a task instance, as from Airflow 3.4 on."""
    return hasattr(model, "task_instance_id")


def columns_of(task_instance: Any) -> tuple[Any, ...]:
    """The further columns of task instances that this module needs."""
    return (task_instance.id, task_instance.region_id) if hasattr(task_instance, "region_id") else ()


def owner_columns(xcom: Any) -> tuple[Any, ...]:
    """The columns of XComs that name their task instance as `owner_of` does."""
    return (xcom.task_instance_id,) if by_attempt(xcom) else (xcom.task_id, xcom.map_index)


def owner_of(row: Any) -> tuple[Any, ...]:
    """What tells a task instance from the others of its run."""
    return (row.id,) if hasattr(row, "region_id") else (row.task_id, row.map_index)


def positions(session: Session, run: Any, instances: Iterable[Any]) -> Callable[[Any], dict[str, Any]]:
    """Returns what a task instance is called: its `map_index`, `iteration` and `region`."""
    found = list(instances)
    if not found or not hasattr(found[0], "region_id"):
        return lambda row: {"map_index": row.map_index}
    loops = {row.region_id for row in found if row.operator == GATE}
    in_regions = any(row.region_id.int for row in found)
    parents = _parents(session, run) if in_regions else {}

    def position(row: Any) -> dict[str, Any]:
        if not row.region_id.int:
            return {"map_index": row.map_index}
        region = (str(row.region_id), row.map_index)
        if row.region_id in loops:
            return {"map_index": -1, "iteration": row.map_index, "region": region}
        parent, number = parents.get(row.region_id, (None, None))
        if parent not in loops:
            return {"map_index": row.map_index}
        return {"map_index": row.map_index, "iteration": number, "region": region}

    return position


def rendered(session: Session, run: Any, task_ids: Collection[str]) -> dict[Any, Mapping[str, Any]]:
    """The rendered template fields by task instance, those included that an older Airflow has stored."""
    from sqlalchemy import and_, select

    models, instances = _models("renderedtifields"), _models("taskinstance")
    Fields, Old = models.RenderedTaskInstanceFields, models.LegacyRenderedTaskInstanceFields  # noqa: N806 - they are classes
    TI, Owner = instances.TaskInstance, instances.LegacyTaskDataOwner  # noqa: N806 - they are classes
    mine = (TI.dag_id == run.dag_id, TI.run_id == run.run_id, TI.task_id.in_(sorted(task_ids)))
    new = select(TI.id, Fields.rendered_fields).join(Fields, Fields.task_instance_id == TI.id).where(*mine)
    same = (getattr(Owner, name) == getattr(Old, name) for name in ("dag_id", "task_id", "run_id", "map_index"))
    old = select(TI.id, Old.rendered_fields).join(Owner, Owner.task_instance_id == TI.id).join(Old, and_(*same)).where(*mine)
    found = {(number,): fields for query in (old, new) for number, fields in session.execute(query)}
    return {owner: fields for owner, fields in found.items() if isinstance(fields, Mapping)}


def _parents(session: Session, run: Any) -> dict[Any, tuple[Any, int | None]]:
    """The region around each region of the run, and the index in it."""
    from sqlalchemy import select

    Region = _models("dynamic_region").DynamicRegion  # noqa: N806 - it is a class
    columns = (Region.id, Region.parent_region_id, Region.parent_region_index)
    query = select(*columns).where(Region.dag_id == run.dag_id, Region.run_id == run.run_id)
    return {number: (parent, index) for number, parent, index in session.execute(query)}


def _models(name: str) -> Any:
    """A module of Airflow's models, whose names differ by its version."""
    return importlib.import_module(f"airflow.models.{name}")
