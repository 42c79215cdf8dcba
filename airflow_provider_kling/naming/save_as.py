"""How the videos of one task are named, and what is saved beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from airflow_provider_kling.naming.safe_names import MOST_ID, cut, safe_name, safe_text
from airflow_provider_kling.naming.templates import SUFFIX, Field, Template
from airflow_provider_kling.values import value

DEFAULT = "{row_id}-{kling_task_id}.mp4"
WITHOUT_ROW = "{kling_task_id}.mp4"
WATERMARK = "-watermark"

_PROVING_ID = re.compile(rf"[0-9]{{6,{MOST_ID}}}")  # neither the number of a video nor a word of a name looks like it


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


@value(kw_only=True)
class SaveAs:
    """How the videos of a task are saved.

    `file_name` is the template; None stands for the default. `fields` are its values, but for those that the task brings.
    `watermark`: the version with a watermark is saved, too. `sidecar`: the result is saved beside each video, as JSON.
    """

    file_name: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    watermark: bool = False
    sidecar: bool = False

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SaveAs:
        """From what `to_json` returned."""
        return cls(**{name: data[name] for name in ("file_name", "fields", "watermark", "sidecar") if name in data})

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, with those fields that the template names."""
        fields = {name: value for name, value in self.fields.items() if name in self.template.fields}
        return {"file_name": self.file_name, "fields": fields, "watermark": self.watermark, "sidecar": self.sidecar}

    @property
    def template(self) -> Template:
        has_row = self.fields.get("row_id") not in (None, "")
        return Template.parse(self.file_name or (DEFAULT if has_row else WITHOUT_ROW))

    def video(
        self, kling_task_id: str, external_task_id: str | None = None, *, index: int = 0, count: int = 1, watermark: bool = False
    ) -> VideoName:
        """The names of the video with this index (from 0) of `count` that the task has."""
        task_id = cut(safe_text(kling_task_id), MOST_ID)
        number = f"-{index + 1}" if count > 1 and "index" not in self.template.fields else ""
        tail = number + (WATERMARK if watermark else "")
        values = {**self.fields, "kling_task_id": task_id, "external_task_id": external_task_id, "index": index + 1}
        id_proves = _PROVING_ID.fullmatch(kling_task_id) is not None
        old = f"{kling_task_id}{f'_{index + 1}' if index else ''}{SUFFIX}"
        name = self._rendered(values, tail)
        return VideoName(
            name,
            with_id=self._rendered(values, f"-{task_id}{tail}"),
            earlier=old if old != name and not watermark else None,
            proves=id_proves and self.template.ends_with_task_id,
            id_proves=id_proves,
            identity={"kling_task_id": kling_task_id, "video": index, "watermark": watermark},
        )

    def name_of_row(self) -> str:
        """The name without what only a task brings: two rows with one name would have one file."""
        return self._rendered(self.fields, "")

    def _rendered(self, values: Mapping[str, Any], tail: str) -> str:
        *folders, last = self.template.parts
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
