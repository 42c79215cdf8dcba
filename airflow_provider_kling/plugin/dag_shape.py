"""Which tasks of a DAG make Kling videos, and which XCom their rows come from: from the DAG as Airflow has serialized it. Pure.

A subclass of an operator of this package is known by the template fields that it inherits. Its module need not be importable.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["create", "wait", "batch"]

SIGN = "kling_conn_id"  # a template field of all operators and sensors of this package, and of no others
_FIELDS: Mapping[Kind, frozenset[str]] = {
    "batch": frozenset({"manifest", "results"}),
    "wait": frozenset({"kling_task_id"}),
    "create": frozenset({"effect_scene"}),
}
_CLASSES: Mapping[str, Kind] = {
    "KlingEffectOperator": "create",
    "KlingEffectDecoratedOperator": "create",
    "KlingTaskSensor": "wait",
    "KlingEffectBatchOperator": "batch",
}


@dataclass(frozen=True, kw_only=True)
class KlingTask:
    """A task of a DAG. `rows_from`: the task whose return value is the list of rows that it is mapped over. `waits_for`: the
    task that creates what a sensor waits for."""

    task_id: str
    kind: Kind
    rows_from: str | None = None
    waits_for: str | None = None


def kling_tasks(data: Any) -> dict[str, KlingTask]:
    """The Kling tasks of a serialized DAG, by task id."""
    dag = _get(data, "dag")
    kinds = {}
    for task in _tasks(dag):
        task_id, kind = task.get("task_id"), _kind(task)
        if isinstance(task_id, str) and kind:
            kinds[task_id] = (kind, task)
    in_groups = dict(_mapped_groups(_get(dag, "task_group"), None))
    creators = sorted((name for name, (kind, _) in kinds.items() if kind == "create"), key=len, reverse=True)
    return {
        name: KlingTask(
            task_id=name,
            kind=kind,
            rows_from=_row_source(task.get("expand_input"), wanted="row") or in_groups.get(name),
            waits_for=_creator(task, creators) if kind == "wait" else None,
        )
        for name, (kind, task) in kinds.items()
    }


def kind_of_class(name: str | None) -> Kind | None:
    """The kind of a task by the name of its class, where the serialized DAG is gone."""
    return _CLASSES.get(name or "")


def _tasks(dag: Any) -> Iterator[Mapping[str, Any]]:
    tasks = _get(dag, "tasks")
    for task in tasks if isinstance(tasks, list) else ():
        inner = _get(task, "__var") or task
        if isinstance(inner, Mapping):
            yield inner


def _kind(task: Mapping[str, Any]) -> Kind | None:
    listed = task.get("template_fields")
    fields = {name for name in listed if isinstance(name, str)} if isinstance(listed, list | tuple) else set()
    if SIGN in fields:
        return next((kind for kind, wanted in _FIELDS.items() if wanted <= fields), None)
    return kind_of_class(task.get("task_type"))


def _mapped_groups(group: Any, source: str | None) -> Iterator[tuple[str, str]]:
    """Each task within a mapped task group, and the task whose return value the group is mapped over."""
    source = _row_source(_get(group, "expand_input"), wanted=None) or source
    children = _get(group, "children")
    for name, child in children.items() if isinstance(children, Mapping) else ():
        if not isinstance(child, list | tuple) or len(child) != 2:
            continue
        if child[0] == "taskgroup":
            yield from _mapped_groups(child[1], source)
        elif source:
            yield str(name), source


def _row_source(expand_input: Any, *, wanted: str | None) -> str | None:
    """The task whose return value is mapped over: the argument `wanted`, or the only one."""
    value = _get(expand_input, "value")
    arguments = _get(value, "__var") if _get(value, "__type") == "dict" else value
    if _get(value, "__type") == "xcomref":  # expand_kwargs(…)
        return _referred(value)
    if not isinstance(arguments, Mapping) or (wanted is None and len(arguments) != 1):
        return None
    return _referred(arguments.get(wanted) if wanted else next(iter(arguments.values())))


def _referred(reference: Any) -> str | None:
    if _get(reference, "__type") != "xcomref":
        return None
    target = _get(reference, "__var")
    task_id = _get(target, "task_id")
    return task_id if isinstance(task_id, str) and _get(target, "key") in (None, "return_value") else None


def _creator(task: Mapping[str, Any], creators: list[str]) -> str | None:
    """The task that a sensor gets the id from, found by its name in what the sensor was given."""
    given = json.dumps(
        [task.get("kling_task_id"), task.get("expand_input"), _get(task.get("partial_kwargs"), "kling_task_id")], default=str
    )
    return next((name for name in creators if f'"{name}"' in given or f"'{name}'" in given), None)


def _get(data: Any, name: str) -> Any:
    return data.get(name) if isinstance(data, Mapping) else None
