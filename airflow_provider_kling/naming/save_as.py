"""How the videos of one task are named, and what is saved beside them.

A worker that hands this over to the triggerer needs no template: what reads one is loaded when a name is asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.values import value

if TYPE_CHECKING:
    from airflow_provider_kling.naming.templates import Template
    from airflow_provider_kling.naming.video_names import VideoName

DEFAULT = "{row_id}-{kling_task_id}.mp4"
WITHOUT_ROW = "{kling_task_id}.mp4"


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
        named: Collection[str] = ("row_id",) if self._has_row else ()  # of the default; only a task brings its id
        if self.file_name is not None or "kling_task_id" in self.fields:
            named = self.template.fields
        fields = {name: value for name, value in self.fields.items() if name in named}
        return {"file_name": self.file_name, "fields": fields, "watermark": self.watermark, "sidecar": self.sidecar}

    @property
    def template(self) -> Template:
        from airflow_provider_kling.naming.templates import Template

        return Template.parse(self.file_name or (DEFAULT if self._has_row else WITHOUT_ROW))

    @property
    def _has_row(self) -> bool:
        return self.fields.get("row_id") not in (None, "")

    def video(
        self, kling_task_id: str, external_task_id: str | None = None, *, index: int = 0, count: int = 1, watermark: bool = False
    ) -> VideoName:
        """The names of the video with this index (from 0) of `count` that the task has."""
        from airflow_provider_kling.naming.video_names import names_of

        task: dict[str, Any] = {"kling_task_id": kling_task_id, "external_task_id": external_task_id}
        return names_of(self.template, self.fields, **task, index=index, count=count, watermark=watermark)

    def name_of_row(self) -> str:
        """The name without what only a task brings: two rows with one name would have one file."""
        from airflow_provider_kling.naming.video_names import rendered

        return rendered(self.template, self.fields)
