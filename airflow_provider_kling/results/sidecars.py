"""The result of a row as a JSON file beside each of its videos: `a.mp4.json` beside `a.mp4`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_kling.errors import KlingStorageError
from airflow_provider_kling.object_paths import location_of, shown, storage_path
from airflow_provider_kling.redaction import show_reason
from airflow_provider_kling.storage import write_text

SUFFIX = ".json"
MOST_BYTES = 1_000_000  # that are read of a file that may be a sidecar


def write_sidecars(result: Mapping[str, Any]) -> None:
    """Write those sidecars of a result (with `row_id`, if it is that of a row) that are missing or another task's. Blocks.

    Each appears as a whole, after its video. Raises KlingStorageError where one cannot be written.
    """
    text = json.dumps(result, ensure_ascii=False, indent=2, default=str) + "\n"
    for path in _missing(result):
        write_text(storage_path(path + SUFFIX), [text.encode(errors="replace").decode()])


def sidecars_are_written(result: Mapping[str, Any]) -> bool:
    """Whether each saved video of a result has its sidecar. Blocks."""
    return next(_missing(result), None) is None


def _missing(result: Mapping[str, Any]) -> Iterator[str]:
    """The paths of the videos that have no sidecar of their own."""
    for video in result["videos"] or ():
        if video["path"] and not _is_of(video["path"], result["kling_task_id"]):
            yield video["path"]


def _is_of(video: str, kling_task_id: str) -> bool:
    path = storage_path(video + SUFFIX)
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(MOST_BYTES))
    except FileNotFoundError:
        return False
    except (ValueError, RecursionError):
        return False  # half of one, which another program has left
    except OSError as error:
        raise KlingStorageError(f"{shown(path)} could not be read: {show_reason(error, location_of(path))}.") from None
    return isinstance(data, dict) and data.get("kling_task_id") == kling_task_id
