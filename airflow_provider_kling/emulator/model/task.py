"""A task as the emulator keeps it, and its plan: what is to become of tasks that are not made yet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_kling import api as protocol

if TYPE_CHECKING:
    from pendulum import DateTime

WAITING = 0.1  # the part of its time for which a task is `submitted`


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A create that passed the checks. `flaw` is why the task is going to fail, if it is.

    `pictures` are keys of the input images in the store, `base` is the URL that the request was sent to.
    """

    effect_scene: str
    pictures: tuple[str, ...] = ()
    external_task_id: str | None = None
    callback_url: str | None = None
    fingerprint: str = ""
    flaw: str = ""
    base: str = ""


@dataclass(kw_only=True)
class Plan:
    """What is to become of the next tasks whose scene or external id contains `match`.

    `times` is for how many, None for all. They take `duration` seconds, or `never` end; they `fail` with that
    message; `status` is shown instead of what their status is.
    """

    match: str = ""
    times: int | None = 1
    duration: float | None = None
    never: bool = False
    fail: str = ""
    status: str = ""

    def fits(self, order: Order) -> bool:
        """Whether the plan is for this one."""
        return self.times != 0 and (self.match in order.effect_scene or self.match in (order.external_task_id or ""))

    def shown(self) -> dict[str, Any]:
        """The plan as JSON."""
        return asdict(self)


@dataclass(slots=True, kw_only=True)
class Record:
    """A task. Its status follows from its times and `failure`; `word` is shown instead, when it is set.

    `epoch` counts how often its links were made anew, `holds` says whether it still counts as running.
    """

    serial: int
    kling_task_id: str
    order: Order
    created_at: float
    starts_at: float
    ends_at: float
    price: str
    failure: str = ""
    word: str = ""
    epoch: int = 0
    holds: bool = True
    forgotten: bool = False
    announced: str = ""

    def status(self, now: float) -> str:
        """Its true status, in the API's words."""
        if now < self.starts_at and now < self.ends_at:
            return protocol.SUBMITTED
        if now < self.ends_at:
            return protocol.PROCESSING
        return protocol.FAILED if self.failure else protocol.SUCCEED

    def done(self, now: float) -> bool:
        """Whether it has ended."""
        return now >= self.ends_at

    def updated_at(self, now: float) -> float:
        """When its status changed last."""
        if self.done(now):
            return self.ends_at
        return self.created_at if now < self.starts_at else self.starts_at

    def shown(self, *, now: float, units: str, videos: tuple[protocol.Video, ...]) -> dict[str, Any]:
        """The task as a query answers it, without `watermark_info`."""
        done = self.done(now)
        data = protocol.Task(
            kling_task_id=self.kling_task_id,
            status=self.word or self.status(now),
            message=self.failure if done else "",
            external_task_id=self.order.external_task_id,
            videos=videos if done and not self.failure else (),
            units=units if done else None,
            created_at=_moment(self.created_at),
            updated_at=_moment(self.updated_at(now)),
        ).to_json()
        if done:
            data["final_balance_deduction"] = {"quota": units, "list_price": units}
        return data

    def ledger_line(self, *, now: float, units: str) -> dict[str, Any]:
        """All that is known of the task, as JSON. `ends_at` is null for one that does not end."""
        return {
            "kling_task_id": self.kling_task_id,
            "external_task_id": self.order.external_task_id,
            "effect_scene": self.order.effect_scene,
            "fingerprint": self.order.fingerprint,
            "status": self.status(now),
            "message": self.failure if self.done(now) else "",
            "created_at": self.created_at,
            "ends_at": None if math.isinf(self.ends_at) else self.ends_at,
            "units": units if self.done(now) else None,
            "forgotten": self.forgotten,
        }


def created(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a create answers of the task."""
    return {key: data[key] for key in ("task_id", "task_status", "task_info", "created_at", "updated_at")}


def _moment(seconds: float) -> DateTime:
    # A plain datetime does for `Task.to_json`, in a fifth of the time; a page may hold 500 tasks.
    return cast("DateTime", datetime.fromtimestamp(seconds, timezone.utc))
