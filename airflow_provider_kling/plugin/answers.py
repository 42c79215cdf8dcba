"""Views as the JSON that the pages read. Addresses in it are relative to `/kling/`, or paths of Airflow's own UI."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow_provider_kling import links
from airflow_provider_kling.plugin.run_row import RunRow, reason_of_row, shown_columns
from airflow_provider_kling.plugin.selection import Selection
from airflow_provider_kling.plugin.views import RunView
from airflow_provider_kling.redaction import is_inline, is_link, scheme_of, show_place
from airflow_provider_kling.results import units_text


def rows_answer(view: RunView, *, task_id: str | None = None, map_index: int | None = None) -> dict[str, Any]:
    """The rows of a run, or of one of its tasks or task instances."""
    rows = rows_of(view, task_id, map_index)
    counts: dict[str, Any] = {"counts": view.counts, "units": units_text(view.units), "videos": view.videos, "more": view.more}
    if rows is not view.rows:
        part = Selection()
        for row in rows:
            part.add(row)
        counts = {"counts": part.count_by(), "units": units_text(part.units), "videos": part.videos, "more": 0}
    return {
        "dag_id": view.run.dag_id,
        "run_id": view.run.run_id,
        "run_state": view.run.state,
        "started_at": iso(view.run.started_at),
        "ended_at": iso(view.run.ended_at),
        "as_of": iso(view.as_of),
        "final": view.final,
        **counts,
        "report": api_url(view, "report") if view.rows else None,
        "results": api_url(view, "results") if view.results else None,
        "notes": view.notes,
        "rows": [_row(view, row) for row in rows],
    }


def rows_of(view: RunView, task_id: str | None, map_index: int | None) -> list[RunRow]:
    """The rows of a task or task instance; all rows for no task, and for one like `collect`, which writes the results of all."""
    if task_id is None or task_id in view.tasks_with_results:
        return view.rows
    return [row for row in view.rows if _is_of(row, task_id, map_index)]


def _is_of(row: RunRow, task_id: str, map_index: int | None) -> bool:
    return any(task_id == name and map_index in (None, index) for name, index in row.instances)


def _row(view: RunView, row: RunRow) -> dict[str, Any]:
    reason = reason_of_row(row)
    return {
        "key": row.key,
        "row_id": row.row_id,
        "effect_scene": row.effect_scene,
        "state": row.state,
        "error": row.error,
        "error_kind": (row.error_kind or "unknown") if reason is not None else None,
        "refused_image": row.refused_image if reason is not None else None,
        "reason": reason,
        "message": row.message,
        "units": row.units,
        "task_id": row.task_id or None,
        "map_index": row.map_index,
        "iteration": row.iteration,
        "task_state": row.task_state,
        "ui": links.task_url(view.run.dag_id, view.run.run_id, row.task_id, row.map_index, region=row.region)
        if row.task_id
        else None,
        "kling_task_id": row.kling_task_id,
        "external_task_id": row.external_task_id,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "images": [_image(view, row, index) for index in range(len(row.images))],
        "videos": [_video(view, row, index) for index in range(len(row.videos))],
        "columns": dict(shown_columns(row)),
    }


def _image(view: RunView, row: RunRow, index: int) -> dict[str, Any]:
    return {"name": show_place(row.images[index]), "src": image_url(view, row, index)}


def image_url(view: RunView, row: RunRow, index: int) -> str | None:
    """Where a browser finds an image: its own link, or the file through this server; None for one within a manifest."""
    source = row.images[index]
    if is_link(source):
        return source
    if is_inline(source) or not (source.startswith("/") or scheme_of(source)):
        return None  # within the manifest, or relative to a folder that is not known here
    return api_url(view, "image", key=row.key, index=index)


def video_url(view: RunView, row: RunRow, index: int) -> str | None:
    """Where a browser finds a video that was saved."""
    path = row.videos[index].get("path")
    return api_url(view, "video", key=row.key, index=index) if isinstance(path, str) and path else None


def link_url(view: RunView, row: RunRow, index: int) -> str | None:
    """What leads to a video at Kling, with a link that works."""
    if row.kling_task_id or is_link(row.videos[index].get("url")):
        return api_url(view, "link", key=row.key, index=index)
    return None


def _video(view: RunView, row: RunRow, index: int) -> dict[str, Any]:
    video = row.videos[index]
    path, duration, expires_at = video.get("path"), video.get("duration"), video.get("expires_at")
    place = show_place(path) if isinstance(path, str) and path else None
    return {
        "name": place.rsplit("/", 1)[-1] if place else None,
        "src": video_url(view, row, index),
        "kling": link_url(view, row, index),
        "expires_at": expires_at if isinstance(expires_at, str) else None,
        "duration": duration if isinstance(duration, int | float) else None,
        "path": place,
    }


# --- Addresses


def api_url(view: RunView, what: str, **parameters: Any) -> str:
    """The address of something of the run, relative to `/kling/`."""
    return links.api_path(view.run.dag_id, view.run.run_id, what, **parameters)


def tab_url(dag_id: str, run_id: str) -> str:
    """The run in Airflow's UI, at its tab with the videos."""
    return f"{links.run_url(dag_id, run_id)}/plugin/{links.VIDEOS_VIEW}"


def iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
