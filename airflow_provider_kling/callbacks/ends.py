"""The end of a task as the `extra` of an asset event, and the asset of a connection that such events are on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from airflow_provider_kling.api import Task
from airflow_provider_kling.asset_uris import SCHEME

CALLBACK, SWEEP = "callback", "sweep"  # what an end was heard by


def asset_uri(kling_conn_id: str) -> str:
    """The URI of the asset whose events are the ends of a connection's tasks: `kling://<conn_id>`."""
    return f"{SCHEME}://{kling_conn_id}"


def end_of(task: Task, kling_conn_id: str, heard_by: str) -> dict[str, Any]:
    """The `extra` of the event of a task that has ended: plain JSON.

    It is a hint: what costs money or writes files must ask Kling first. `updated_at` is in ISO 8601, None if Kling did not say it;
    `units` is in Kling's own decimal notation, None if unknown; `heard_by` is `callback` or `sweep`.
    """
    return {
        "kling_conn_id": kling_conn_id,
        "kling_task_id": task.kling_task_id,
        "external_task_id": task.external_task_id,
        "status": task.status,
        "message": task.message,
        "units": task.units,
        "updated_at": task.updated_at.isoformat() if task.updated_at else None,
        "heard_by": heard_by,
    }


def end_in(extra: Any) -> Mapping[str, Any] | None:
    """The end in the `extra` of an asset event; None if it is the event of something else.

    Airflow puts what a trigger has fired under `payload`.
    """
    if isinstance(extra, Mapping) and extra.get("from_trigger"):
        extra = extra.get("payload")
    return extra if isinstance(extra, Mapping) and isinstance(extra.get("kling_task_id"), str) else None


def ended_tasks_of(events: Iterable[Any]) -> list[dict[str, Any]]:
    """The ends in these asset events, each task once, in the order in which they were heard: what `end_of` describes.

    Takes `context["inlet_events"][asset]`, or the JSON of events that Airflow's REST API returns.
    """
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        end = end_in(event.get("extra") if isinstance(event, Mapping) else event.extra)
        if end is not None:
            found.setdefault(end["kling_task_id"], dict(end))
    return list(found.values())


def minute_of(moment: datetime | None) -> int:
    """The minute since 1970 of a time; that of an end without a time is 0."""
    return int(moment.timestamp() // 60) if moment else 0


def slot_of(moment: datetime | None) -> int:
    """The same in slots of five seconds: an account may tell of thousands of ends in a minute, one at a time."""
    return int(moment.timestamp() // 5) if moment else 0


def heard_key(slot: int) -> str:
    """The key in an asset's state store of the ids of tasks that ended in this slot, and of which a callback was received."""
    return f"heard-{slot}"


def swept_key(minute: int) -> str:
    """The key of the ids of tasks that ended in this minute, and that sweeps have found."""
    return f"swept-{minute}"
