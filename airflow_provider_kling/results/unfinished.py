"""`unfinished.jsonl`: the rows without a video as a manifest, each with the reason. The batch takes it as it is."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from airflow_provider_kling.api import SUCCEED
from airflow_provider_kling.manifests import IMAGE_COLUMNS, REASONS, REQUEST, RESULT_COLUMNS, request_of, resolve_image
from airflow_provider_kling.object_paths import location_of
from airflow_provider_kling.results.lines import RowLine, to_jsonl
from airflow_provider_kling.storage import exists, remove, write_text

UNFINISHED = "unfinished.jsonl"
_IN_MEMORY = 2**20  # bytes


class Unfinished:
    """Takes lines of results one after the other, and keeps those of a manifest's rows that have no video. A context manager.

    `image_folder` is where relative images of the rows start: they get absolute places, because the file lies elsewhere.
    """

    def __init__(self, image_folder: str) -> None:
        self._folder = image_folder
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - `__exit__` closes it
        self.rows = 0

    def add(self, line: Mapping[str, Any]) -> None:
        """Keep the line, if it is that of a row that is left. A line without its row, or with a video, is none."""
        if isinstance(line, RowLine) and line["status"] != SUCCEED:
            self._file.write(f"{to_jsonl(_left(line, self._folder))}\n".encode())
            self.rows += 1

    def write(self, folder: Any) -> str | None:
        """Write the file into this folder, and return its location; where nothing is left, remove an old one. Blocks."""
        path = folder / UNFINISHED
        if self.rows:
            self._file.seek(0)
            write_text(path, self._text())
            return location_of(path)
        if exists(path):
            remove(path)
        return None

    def _text(self) -> Iterator[str]:
        for line in self._file:
            yield line.decode()

    def __enter__(self) -> Unfinished:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._file.close()


def _left(line: RowLine, folder: str) -> dict[str, Any]:
    """The row of a manifest, with the reason why it has no video."""
    columns = {name: value for name, value in line.items() if name not in RESULT_COLUMNS}
    images = tuple(line.images)
    if images:
        columns = {name: value for name, value in columns.items() if name not in IMAGE_COLUMNS}
    else:
        columns = {name: _resolved(value, folder) if name in IMAGE_COLUMNS else value for name, value in columns.items()}
    reasons: dict[str, Any] = {name: line.get(name) for name in REASONS}
    reasons["external_task_id"] = reasons["external_task_id"] or line.external_id
    reasons[REQUEST] = request_of(line.scene, images)
    known = {name: value for name, value in reasons.items() if value is not None}
    return {"id": columns.pop("id"), "effect_scene": columns.pop("effect_scene", None), **_named(images), **columns, **known}


def _named(images: Sequence[str]) -> dict[str, Any]:
    """The images of a row in the columns for so many."""
    if not images:
        return {}
    return {"image": images[0]} if len(images) == 1 else {"images": list(images)}


def _resolved(value: Any, folder: str) -> Any:
    """The images in a column of a row that cannot work, where it is clear what they are."""
    if isinstance(value, list):
        return [_resolved(item, folder) if isinstance(item, str) else item for item in value]
    if not isinstance(value, str) or not value.strip():
        return value
    if value.lstrip().startswith("["):
        try:
            return _resolved(json.loads(value), folder)
        except (ValueError, RecursionError):
            return value
    return "|".join(resolve_image(folder, part.strip()) for part in value.split("|"))
