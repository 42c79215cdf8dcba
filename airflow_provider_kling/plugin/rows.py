"""The rows of a run from what its task instances have left. Pure.

A row may have two task instances: one that creates the Kling task, and a sensor that waits for it. They are one row if they have
the same row id, the same Kling task, or the same place in the list that both are mapped over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_kling.api import SUCCEED
from airflow_provider_kling.plugin.database import RETURN_VALUE, Instance
from airflow_provider_kling.plugin.run_row import (
    RUNNING,
    WAITING,
    RunRow,
    conn_ids_of,
    facts_of,
    images_of,
    key_of,
    row_of_line,
    text_of,
    with_own_keys,
)
from airflow_provider_kling.results import CREATED_TASK, FAILED_RESULT, STATUSES, lines_of, lines_without_rows, merge

_ACTIVE = frozenset(
    {"running", "queued", "scheduled", "deferred", "restarting", "up_for_retry", "up_for_reschedule", "awaiting_input"}
)
_STARTED = frozenset({"running", "deferred", "restarting", "up_for_retry", "up_for_reschedule", "success", "failed"})


def rows_of_instances(instances: Iterable[Instance], rows_of: Mapping[str, list[Any]], *, run_over: bool) -> list[RunRow]:
    """The rows of all operators and sensors, but for those of batches, in the order of the tasks and the map indexes."""
    found = (_row_of(group, rows_of, run_over=run_over) for group in _groups(list(instances), rows_of))
    return with_own_keys(row for row in found if row is not None)


def with_lines(rows: Iterable[RunRow], lines: Iterable[Mapping[str, Any]]) -> list[RunRow]:
    """The rows as written results have them, in the order of their lines; what the task instances know is added to each.

    Rows without a line follow.
    """
    known: dict[str, list[RunRow]] = {}
    others: list[RunRow] = []
    for row in rows:
        (others if row.row_id is None else known.setdefault(row.row_id, [])).append(row)
    found = []
    for line in lines:
        fresh = row_of_line(line, task_id="", map_index=-1, task_state=None, conn_ids="", scope="")
        same = known.get(fresh.row_id or "", [])
        old = next(
            (one for one in same if one.kling_task_id and one.kling_task_id == fresh.kling_task_id), same[0] if same else None
        )
        if old is not None:
            same.remove(old)
        if old is None and (
            old := next((one for one in others if one.kling_task_id and one.kling_task_id == fresh.kling_task_id), None)
        ):
            others.remove(old)
        found.append(fresh if old is None else _joined(old, fresh))
    return with_own_keys([*found, *(row for left in known.values() for row in left), *others])


def _joined(old: RunRow, fresh: RunRow) -> RunRow:
    """A line's row at the place of its task instance, with images as this knows them: their paths are absolute."""
    return replace(
        fresh,
        key=old.key,
        images=old.images or fresh.images,
        effect_scene=fresh.effect_scene or old.effect_scene,
        task_id=old.task_id,
        map_index=old.map_index,
        iteration=old.iteration,
        region=old.region,
        task_state=old.task_state,
        conn_ids=old.conn_ids,
        instances=old.instances,
    )


# --- Which task instances are one row


def _groups(instances: list[Instance], rows_of: Mapping[str, list[Any]]) -> list[list[Instance]]:
    groups: list[list[Instance]] = []
    by_key: dict[tuple[str, Any], list[int]] = {}
    ids: list[str | None] = []  # the row id of each group
    waiting_sensors = []
    for instance in sorted(instances, key=_order):
        if instance.state == "removed":
            continue
        row_id, keys = _identity(instance, rows_of)
        if not keys and instance.task.kind == "wait" and instance.task.waits_for:
            waiting_sensors.append(instance)
            continue
        matches = (place for key in keys for place in by_key.get(key, ()) if _fits(instance, groups[place]))
        place = next((place for place in matches if row_id is None or ids[place] in (None, row_id)), len(groups))
        if place == len(groups):
            groups.append([])
            ids.append(None)
        groups[place].append(instance)
        ids[place] = ids[place] or row_id
        for key in keys:
            by_key.setdefault(key, []).append(place)
    _attach(waiting_sensors, groups)
    return groups


def _order(instance: Instance) -> tuple[Any, ...]:
    """Operators before sensors, and each by its task; the iterations of a loop in their order."""
    return (instance.task.kind == "wait", instance.task.task_id, instance.iteration or 0, instance.map_index)


def _fits(instance: Instance, group: list[Instance]) -> bool:
    """Whether a task instance may be of the row of these: a row is created once and awaited once, and each by its own task."""
    if any(one.task.kind == instance.task.kind for one in group):
        return False
    waits_for = instance.task.waits_for
    return waits_for is None or all(one.task.task_id == waits_for for one in group)


def _identity(instance: Instance, rows_of: Mapping[str, list[Any]]) -> tuple[str | None, list[tuple[str, Any]]]:
    """The row id, and all by which another task instance of the same row can be known."""
    outcomes = _outcomes(instance)
    row_id = next((text_of(one["row_id"]) for one in outcomes if one.get("row_id") is not None), None)
    row_id = row_id or text_of(instance.rendered.get("row_id")) or text_of(_planned(instance, rows_of).get("row_id"))
    row_id = None if row_id in ("", "None") else row_id
    keys: list[tuple[str, Any]] = [("task", str(one["kling_task_id"])) for one in outcomes if one.get("kling_task_id")]
    if row_id is not None:
        keys.append(("row", (instance.iteration, row_id)))
    if instance.task.rows_from and instance.map_index >= 0:
        keys.append(("place", (instance.iteration, instance.task.rows_from, instance.map_index)))
    return row_id, keys


def _attach(sensors: list[Instance], groups: list[list[Instance]]) -> None:
    """Add a sensor of which nothing is known yet to the row of the task that it waits for, where that is the one in its place.

    A sensor without such a task stands for no row of its own: the row is there already.
    """
    places = {(one.task.task_id, one.map_index, one.iteration): group for group in groups for one in group}
    for sensor in sensors:
        group = places.get((sensor.task.waits_for or "", sensor.map_index, sensor.iteration))
        if group is not None and not any(one.task.kind == "wait" for one in group):
            group.append(sensor)


def _planned(instance: Instance, rows_of: Mapping[str, list[Any]]) -> Mapping[str, Any]:
    """The row that the task instance is mapped over."""
    rows = rows_of.get(instance.task.rows_from or "", [])
    row = rows[instance.map_index] if 0 <= instance.map_index < len(rows) else None
    return row if isinstance(row, Mapping) else {}


def _outcomes(instance: Instance) -> list[Mapping[str, Any]]:
    """What the task instance has left of its row, the ids of its Kling task included."""
    found = [instance.xcoms.get(key) for key in (RETURN_VALUE, FAILED_RESULT, CREATED_TASK)]
    if instance.task.kind == "create" and isinstance(value := found[0], str) and value:
        found[0] = {"kling_task_id": value}
    return [one for one in found if isinstance(one, Mapping) and not one.keys().isdisjoint(("row_id", "kling_task_id", "status"))]


# --- A row


def _row_of(group: list[Instance], rows_of: Mapping[str, list[Any]], *, run_over: bool) -> RunRow | None:
    planned = next((row for one in group if (row := _planned(one, rows_of))), {})
    if all(_is_unexpanded(one) for one in group) and not run_over:
        return None  # how many rows there are is not known yet
    outcomes = [outcome for one in group for outcome in _outcomes(one)]
    merged = merge(outcomes)
    outcome: Mapping[str, Any] = merged[0] if merged else {}
    row_id, _ = next((found for one in group if (found := _identity(one, rows_of))[0]), (None, []))
    shown = _shown(group)
    rendered = next((one.rendered for one in group if one.rendered.get("effect_scene")), {})
    state, facts = _state(group, outcome, run_over=run_over)
    return RunRow(
        key=_key(group[0], row_id),
        state=state,
        row_id=row_id,
        effect_scene=text_of(outcome.get("effect_scene"))
        or text_of(rendered.get("effect_scene"))
        or text_of(planned.get("effect_scene")),
        images=next((images for one in group if (images := images_of(one.rendered))), ()) or images_of(planned),
        task_id=shown.task.task_id,
        map_index=shown.map_index,
        iteration=shown.iteration,
        region=shown.region,
        task_state=shown.state,
        conn_ids=next((conn for one in group if (conn := conn_ids_of(one.rendered))), ""),
        instances=frozenset((one.task.task_id, one.map_index) for one in group),
        **facts,
    )


def _key(instance: Instance, row_id: str | None) -> str:
    scope = "" if instance.iteration is None else f"{instance.iteration}"
    return key_of(scope, row_id) if row_id is not None else key_of(scope, instance.task.task_id, instance.map_index)


def _is_unexpanded(instance: Instance) -> bool:
    """Whether this stands for all instances of a mapped task, before Airflow knows how many there are."""
    return instance.task.rows_from is not None and instance.map_index < 0


def _state(group: list[Instance], outcome: Mapping[str, Any], *, run_over: bool) -> tuple[str, dict[str, Any]]:
    """The state of a row, and what its outcome says."""
    active = any(one.state in _ACTIVE or (one.state is None and not run_over) for one in group)
    trying = any(one.state in _ACTIVE for one in group)
    status, task = outcome.get("status"), outcome.get("kling_task_id")
    if status == SUCCEED and outcome.get("videos"):
        return SUCCEED, facts_of(outcome)
    if status in STATUSES and not trying:
        line = _final(outcome)
        return str(line["status"]), facts_of(line)
    if status in STATUSES or active:
        return (RUNNING if task else WAITING), facts_of(outcome)
    if task and not run_over and all(one.state == "success" for one in group):
        return RUNNING, facts_of(outcome)  # who waits for it may be any other task
    line = _final(outcome)
    return str(line["status"]), facts_of(line)


def _final(outcome: Mapping[str, Any]) -> Mapping[str, Any]:
    """The line that the results would have for what is known of a row that nobody works on any more."""
    if outcome.get("status") is None and not outcome.get("kling_task_id"):
        return _nothing_known()
    return next(iter(lines_without_rows([outcome])))


def _nothing_known() -> Mapping[str, Any]:
    from airflow_provider_kling.manifests import Row

    row = Row(line=1, number=1, id="", columns={}, effect_scene="", images=())
    return next(iter(lines_of([row], lambda row: None)))


def _shown(group: list[Instance]) -> Instance:
    """The task instance that a row leads to: the sensor, once that has started."""
    started = [one for one in group if one.state in _STARTED]
    return started[-1] if started else group[0]
