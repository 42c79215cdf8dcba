"""The names of the videos of one task, from a template and its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from airflow_provider_kling.naming.safe_names import MOST_ID, cut, safe_name, safe_text
from airflow_provider_kling.naming.templates import SUFFIX, Field, Template
from airflow_provider_kling.patterns import pattern
from airflow_provider_kling.values import value

WATERMARK = "-watermark"

_PROVING_ID = pattern(rf"[0-9]{{6,{MOST_ID}}}")  # neither the number of a video nor a word of a name looks like it


@value
class VideoName:
    """The names that one video of a task may have below `save_to`, and how a file shows that it is this video.

    - `name`: the wanted one. `with_id`: the one to take where a file of something else has it.
    - `earlier`: the name that earlier versions of this package gave it, if that is another.
    - `proves`, `id_proves`: whether `name`, and `with_id`, belong to this task alone. Without the first, the file itself holds
      its `identity`.
    """

    name: str
    with_id: str = ""
    earlier: str | None = None
    proves: bool = True
    id_proves: bool = True
    identity: Mapping[str, Any] = field(default_factory=dict)


def names_of(
    template: Template,
    fields: Mapping[str, Any],
    *,
    kling_task_id: str,
    external_task_id: str | None,
    index: int,
    count: int,
    watermark: bool,
) -> VideoName:
    """The names of the video with this index (from 0) of `count` that the task has."""
    task_id = cut(safe_text(kling_task_id), MOST_ID)
    number = f"-{index + 1}" if count > 1 and "index" not in template.fields else ""
    tail = number + (WATERMARK if watermark else "")
    values = {**fields, "kling_task_id": task_id, "external_task_id": external_task_id, "index": index + 1}
    id_proves = _PROVING_ID.fullmatch(kling_task_id) is not None
    old = f"{kling_task_id}{f'_{index + 1}' if index else ''}{SUFFIX}"
    name = rendered(template, values, tail)
    return VideoName(
        name,
        with_id=rendered(template, values, f"-{task_id}{tail}"),
        earlier=old if old != name and not watermark else None,
        proves=id_proves and template.ends_with_task_id,
        id_proves=id_proves,
        identity={"kling_task_id": kling_task_id, "video": index, "watermark": watermark},
    )


def rendered(template: Template, values: Mapping[str, Any], tail: str = "") -> str:
    """A name with these values, its tail before the suffix."""
    *folders, last = template.parts
    names = [safe_name(_texts(part, values)) for part in folders]
    return "/".join([*names, safe_name(_texts(last, values), suffix=tail + SUFFIX, empty="video")])


def _texts(part: tuple[str | Field, ...], values: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """The pieces as texts, and whether each may be cut."""
    return [
        (piece, False)
        if isinstance(piece, str)
        else (safe_text(values.get(piece.name)), piece.name not in ("kling_task_id", "index", "date", "map_index"))
        for piece in part
    ]
