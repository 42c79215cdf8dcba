"""Results that were written before, read again. A file may have been damaged or edited since, so each line is checked."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_kling.api import SUCCEED
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.manifests import RESULT_COLUMNS
from airflow_provider_kling.object_paths import location_of
from airflow_provider_kling.redaction import show_place
from airflow_provider_kling.results.statuses import ERROR, STATUSES
from airflow_provider_kling.results.units import is_units
from airflow_provider_kling.storage import read_lines

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

MAX_DEPTH = 60  # levels of lists and objects; a column of a manifest may have 50
MAX_LOGGED = 20  # damaged lines of one file that the log names

log = logging.getLogger(__name__)


class ReadLine(NamedTuple):
    """One line of `results.jsonl`: its number, what is wrong with it, and its object, where it is one."""

    number: int
    data: dict[str, Any] | None
    problem: str = ""


def read_results(path: ObjectStoragePath) -> Iterator[ReadLine]:
    """The lines of a `results.jsonl`, blank ones left out; damaged ones are logged as warnings. Blocks.

    Raises KlingInputError where the file cannot be read.
    """
    place, damaged = show_place(location_of(path)), 0
    for line in _read(path):
        if line.problem:
            damaged += 1
            if damaged <= MAX_LOGGED:
                log.warning("%s, line %d is damaged and not used: %s.", place, line.number, line.problem)
        yield line
    if damaged > MAX_LOGGED:
        log.warning("%s: %d more lines are damaged and not used.", place, damaged - MAX_LOGGED)


def intact_lines(path: ObjectStoragePath) -> Iterator[dict[str, Any]]:
    """The lines of a `results.jsonl` with which nothing is wrong; like `read_results` otherwise."""
    return (line.data for line in read_results(path) if line.data is not None and not line.problem)


def damaged_row(data: Mapping[str, Any], error: str) -> dict[str, Any]:
    """The line of a row whose line is damaged: its id and columns, and an error in the place of what became of it."""
    facts = dict.fromkeys(RESULT_COLUMNS)
    kept = {name: value for name, value in data.items() if name not in facts}
    return {**kept, **facts, "status": ERROR, "error": error, "error_kind": "unknown"}


def _read(path: ObjectStoragePath) -> Iterator[ReadLine]:
    number = 0
    try:
        for number, text in enumerate(read_lines(path), 1):
            if text.strip():
                yield _checked(number, text)
    except KlingInputError as error:
        if isinstance(error.__context__, OSError):
            raise
        yield ReadLine(number + 1, None, "it is too long, and nothing after it was read")


def _checked(number: int, text: bytes) -> ReadLine:
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return ReadLine(number, None, "it is no JSON")
    if not isinstance(data, dict) or not isinstance(data.get("id"), str):
        return ReadLine(number, None, "it is not the object of a row with an id")
    if not _is_plain(data):
        return ReadLine(number, None, "it is nested too deeply, or holds a number that is no JSON")
    wrong = [name for name, is_right in _FIELDS.items() if not is_right(data.get(name))]
    if not wrong and data["status"] == SUCCEED:
        wrong = [name for name in ("kling_task_id", "videos") if not data.get(name)] + ["error"] * (data.get("error") is not None)
    return ReadLine(number, data, f"{wrong[0]} is not what the results have there" if wrong else "")


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _is_plain(data: Any) -> bool:
    """Whether no value is nested too deeply to be written again, and no number is infinite."""
    level, depth = [data], 0
    while level:
        if any(isinstance(value, float) and not math.isfinite(value) for value in level):
            return False
        nested = [value for value in level if isinstance(value, list | dict)]
        level = [item for value in nested for item in (value.values() if isinstance(value, dict) else value)]
        depth += 1
        if depth > MAX_DEPTH:
            return False
    return True


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_duration(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


_VIDEO: Mapping[str, Callable[[Any], bool]] = {
    "id": _is_text,
    "url": lambda value: isinstance(value, str),
    "watermark_url": _is_text,
    "duration": _is_duration,
    "expires_at": _is_text,
    "path": _is_text,
    "watermark_path": _is_text,
}


def _are_videos(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(map(_is_video, value)))


def _is_video(value: Any) -> bool:
    return isinstance(value, dict) and all(is_right(value.get(name)) for name, is_right in _VIDEO.items())


_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "status": lambda value: isinstance(value, str) and value in STATUSES,
    "kling_task_id": _is_text,
    "external_task_id": _is_text,
    "message": _is_text,
    "videos": _are_videos,
    "units": lambda value: value is None or is_units(value),
    "created_at": _is_text,
    "updated_at": _is_text,
    "error": _is_text,
    "error_kind": _is_text,
    "refused_image": lambda value: value is None or (isinstance(value, int) and not isinstance(value, bool)),
}
