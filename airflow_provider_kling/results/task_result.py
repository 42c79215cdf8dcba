"""The result of one Kling task, or of a row that did not work, as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_provider_kling import api
from airflow_provider_kling.api import SUCCEED
from airflow_provider_kling.errors import KlingAnswerError, KlingError
from airflow_provider_kling.manifests import RESULT_COLUMNS
from airflow_provider_kling.redaction import show_error, show_text

if TYPE_CHECKING:
    from airflow_provider_kling.api import Task, Video
    from airflow_provider_kling.client.flows import SavedFiles

Paths = Mapping[Any, str] | Sequence[str | None]


def result_of(
    task: Task,
    *,
    effect_scene: str | None = None,
    paths: Paths = (),
    watermark_paths: Sequence[str | None] | None = None,
) -> dict[str, Any]:
    """The result of a task that has succeeded, as plain JSON.

    `paths` are the locations of its saved videos: in the order of the videos, or by index (from 0) or id. `watermark_paths`
    are those of the versions with a watermark: with them, each video has a `watermark_path`, too.
    Keys: `kling_task_id, external_task_id, effect_scene, status, message, videos: [{id, url, watermark_url, duration,
    expires_at, path}], units, created_at, updated_at`; times are ISO 8601 in UTC, `duration` is in seconds, `units` a decimal text.
    Raises KlingTaskFailed for a task that failed, KlingAnswerError for one that is not done, or succeeded without a video.
    """
    if task.failed:
        scene = api.scene_of(effect_scene or "")
        raise api.task_failure(task.kling_task_id, task.message, images=scene.images if scene else None)
    if not task.succeeded:
        known = "which is not its end" if task.known_status else "which this version of the provider does not know"
        raise KlingAnswerError(
            f"Kling task {task.kling_task_id} has the status {task.status[:60]!r}, {known}; wanted is {SUCCEED!r}."
        )
    if not task.videos:
        raise KlingAnswerError(f"Kling task {task.kling_task_id} has succeeded, but its answer holds no video.")
    result = _facts(task, effect_scene, paths)
    for video, path in zip(result["videos"], watermark_paths or (), strict=False):
        video["watermark_path"] = path
    return result


def saved_result(
    task: Task, files: SavedFiles | None, *, effect_scene: str | None = None, row_id: str | None = None
) -> dict[str, Any]:
    """The result of a done task, with what is saved of it (None: nothing), and with the id of its row, if it has one."""
    result = result_of(
        task,
        effect_scene=effect_scene,
        paths=files.paths if files else (),
        watermark_paths=files.watermarked if files else None,
    )
    return result if row_id is None else {**result, "row_id": row_id}


def error_result(
    error: BaseException, *, row_id: str | None, task: Task | None = None, effect_scene: str | None = None
) -> dict[str, Any]:
    """The result of a row that did not work: the keys of `result_of`, `row_id`, and `error` as one line of text.

    `error_kind` is what the error is about, one of `api.ERROR_KINDS`, and `refused_image` the number of the image that Kling's
    content control has refused, from 1; None where that is not known, or the row has no such error.

    `status` is the error's `row_status`: `failed`, `invalid`, …; `error` for any other exception. `task` is the row's
    task, where it has one: what is known of it goes into the result, its videos included, because they are paid for.
    """
    status = error.row_status if isinstance(error, KlingError) else KlingError.row_status
    facts = _facts(task, effect_scene, ()) if task else {**dict.fromkeys(RESULT_COLUMNS), "effect_scene": effect_scene}
    about = {
        "error": show_error(error),
        "error_kind": api.error_kind(error),
        "refused_image": getattr(error, "refused_image", None),
    }
    return {"row_id": row_id, **facts, "videos": facts["videos"] or None, "status": status, **about}


def _facts(task: Task, effect_scene: str | None, paths: Paths) -> dict[str, Any]:
    expires_at = _iso(task.links_expire_at)
    return {
        "kling_task_id": task.kling_task_id,
        "external_task_id": task.external_task_id,
        "effect_scene": effect_scene,
        "status": task.status,
        "message": show_text(task.message),
        "videos": [_video(video, expires_at, _path_of(video, index, paths)) for index, video in enumerate(task.videos)],
        "units": task.units,
        "created_at": _iso(task.created_at),
        "updated_at": _iso(task.updated_at),
    }


def _video(video: Video, expires_at: str | None, path: str | None) -> dict[str, Any]:
    return {
        "id": video.id,
        "url": video.url,
        "watermark_url": video.watermark_url,
        "duration": video.duration,
        "expires_at": expires_at,
        "path": path,
    }


def _path_of(video: Video, index: int, paths: Paths) -> str | None:
    if isinstance(paths, Mapping):
        return next((str(paths[key]) for key in (index, str(index), video.id) if key is not None and key in paths), None)
    path = paths[index] if index < len(paths) else None
    return None if path is None else str(path)


def _iso(time: datetime | None) -> str | None:
    return None if time is None else pendulum.instance(time).in_timezone("UTC").to_iso8601_string()
