"""Which task instance this is, as far as its requests are concerned: what external ids, caps and accounts rest on. Pure.

Within a DAG run, a request has a place: its task, and the row id or map index of its instance. From Airflow 3.4 on, a task may
be in a loop. Each iteration has task instances of its own, with the same map indexes (-1, if the task is not mapped) as in the
one before. So the number of the iteration belongs to the place: each iteration asks for a video of its own.

Airflow's `region_id` does not belong to it. Where the gate of a loop is cleared, Airflow replaces the later iterations by new
task instances in a new region: they are the same iterations, and adopt what these have paid for. The number of the iteration is
enough, because a loop is in no other loop and in no mapped task group: Airflow 3.4 refuses both when it parses the DAG.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_kling.values import value


@value
class InstanceKey:
    """A task instance. `map_index` is -1 where the task is not mapped, `iteration` None where it is in no loop."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    iteration: int | None

    @property
    def is_mapped(self) -> bool:
        return self.map_index >= 0


def instance_key(context: Mapping[str, Any]) -> InstanceKey:
    """The task instance of this context."""
    ti = context["ti"]
    map_index = -1 if ti.map_index is None else ti.map_index
    return InstanceKey(ti.dag_id, ti.run_id, ti.task_id, map_index, iteration_of(context))


def iteration_of(context: Mapping[str, Any]) -> int | None:
    """The number of the loop's iteration, from 0; None for a task in no loop, and before Airflow 3.4."""
    loop = context.get("loop")
    return None if loop is None else int(loop.index)


def earlier_attempt(context: Mapping[str, Any]) -> bool:
    """Whether an earlier attempt of this task instance may have sent a create."""
    return bool(context["ti"].try_number > 1 or context.get("task_reschedule_count", 0))


def may_have_created(context: Mapping[str, Any]) -> bool:
    """Whether a create may have been sent in the place of this task instance, by itself or by one that it replaces.

    In a loop that is never ruled out: where its gate is cleared, new task instances replace those of the later iterations, and
    begin with their first try.
    """
    return earlier_attempt(context) or iteration_of(context) is not None
