"""The objects of the API: tasks, their videos, and the resource packs that pay for them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pendulum

from airflow_provider_kling.api.parsing import (
    milliseconds,
    read_id,
    read_number,
    read_object,
    read_text,
    read_time,
    read_units,
    read_url,
    shorten,
)
from airflow_provider_kling.errors import KlingAnswerError
from airflow_provider_kling.values import value

SUBMITTED, PROCESSING, SUCCEED, FAILED = "submitted", "processing", "succeed", "failed"
STATUSES = (SUBMITTED, PROCESSING, SUCCEED, FAILED)

LINK_LIFETIME = pendulum.duration(days=30)  # "generated images/videos will be cleared after 30 days"


@value(kw_only=True)
class Video:
    """A video of a succeeded task. `duration` is in seconds, None if Kling does not report it.

    `url` is an http(s) URL, an empty text where Kling's answer holds something else.
    """

    id: str | None
    url: str
    watermark_url: str | None = None
    duration: float | None = None

    @classmethod
    def from_json(cls, data: Any) -> Video:
        data = read_object(data, "a video")
        return cls(
            id=read_text(data, "id"),
            url=read_url(data, "url", required=True) or "",
            watermark_url=read_url(data, "watermark_url"),
            duration=read_number(data, "duration"),
        )

    def to_json(self) -> dict[str, Any]:
        shown = {"id": self.id, "url": self.url, "watermark_url": self.watermark_url}
        return shown if self.duration is None else {**shown, "duration": f"{self.duration:g}"}


@value(kw_only=True)
class Task:
    """A task at Kling. `units` is its cost, in Kling's own decimal notation, None until Kling reports it."""

    kling_task_id: str
    status: str
    message: str = ""
    external_task_id: str | None = None
    videos: tuple[Video, ...] = ()
    units: str | None = None
    created_at: pendulum.DateTime | None = None
    updated_at: pendulum.DateTime | None = None

    @property
    def succeeded(self) -> bool:
        return self.status == SUCCEED

    @property
    def failed(self) -> bool:
        return self.status == FAILED

    @property
    def done(self) -> bool:
        return self.succeeded or self.failed

    @property
    def known_status(self) -> bool:
        """Whether this version knows the status. An unknown status is neither done nor a success."""
        return self.status in STATUSES

    @property
    def links_expire_at(self) -> pendulum.DateTime | None:
        """When the links of its videos expire: 30 days after its last change; None if that is unknown."""
        try:
            return self.updated_at + LINK_LIFETIME if self.succeeded and self.updated_at else None
        except OverflowError:  # in the year 9999
            return None

    @classmethod
    def from_json(cls, data: Any) -> Task:
        """The task in the `data` of a response, or in a callback's body. Raises KlingAnswerError for another shape."""
        data = read_object(data, "a task")
        info = read_object(data.get("task_info") or {}, "task_info")
        result = read_object(data.get("task_result") or {}, "task_result")
        videos = result.get("videos") or ()
        if not isinstance(videos, list | tuple):
            raise KlingAnswerError(f"videos of a task is {shorten(videos)}, not a list.")
        status = read_text(data, "task_status", required=True) or ""
        if status == SUCCEED and not videos and "task_result" in data:
            raise KlingAnswerError(f"Task {shorten(data.get('task_id'))} has succeeded, but its answer holds no video.")
        return cls(
            kling_task_id=read_id(data, "task_id"),
            status=status,
            message=read_text(data, "task_status_msg") or "",
            external_task_id=read_text(info, "external_task_id"),
            videos=tuple(Video.from_json(video) for video in videos),
            units=read_units(data),
            created_at=read_time(data, "created_at"),
            updated_at=read_time(data, "updated_at"),
        )

    def to_json(self) -> dict[str, Any]:
        """The `data` of a query's response, without `watermark_info`."""
        shown: dict[str, Any] = {
            "task_id": self.kling_task_id,
            "task_status": self.status,
            "task_status_msg": self.message,
            "task_info": {"external_task_id": self.external_task_id},
            "task_result": {"videos": [video.to_json() for video in self.videos]},
            "created_at": milliseconds(self.created_at),
            "updated_at": milliseconds(self.updated_at),
        }
        if self.succeeded and not self.videos:  # a list left them out; without the key it reads as the same task again
            del shown["task_result"]
        return shown if self.units is None else {**shown, "final_unit_deduction": self.units}


@value(kw_only=True)
class ResourcePack:
    """A resource pack of the account. `remaining` is up to 12 hours old.

    `type` is `decreasing_total` or `constant_period`; `status` is `toBeOnline`, `online`, `expired` or `runOut`.
    """

    id: str
    name: str
    type: str
    status: str
    total: float | None
    remaining: float | None
    effective_at: pendulum.DateTime | None
    invalid_at: pendulum.DateTime | None

    def usable_units(self, now: datetime) -> Decimal:
        """The units that tasks can be paid with at this time, as far as Kling shows: none of a pack that has another status
        than `online` or has expired since."""
        if self.status != "online" or self.remaining is None or (self.invalid_at is not None and self.invalid_at <= now):
            return Decimal(0)
        return max(Decimal(0), Decimal(str(self.remaining)))

    @classmethod
    def from_json(cls, data: Any) -> ResourcePack:
        data = read_object(data, "a resource pack")
        return cls(
            id=read_text(data, "resource_pack_id") or "",
            name=read_text(data, "resource_pack_name") or "",
            type=read_text(data, "resource_pack_type") or "",
            status=read_text(data, "status") or "",
            total=read_number(data, "total_quantity"),
            remaining=read_number(data, "remaining_quantity"),
            effective_at=read_time(data, "effective_time"),
            invalid_at=read_time(data, "invalid_time"),
        )
