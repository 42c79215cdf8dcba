"""A task as the emulator stores it, and plans for the tasks to come."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_kling.api import EFFECTS, FAILED, PROCESSING, SUBMITTED, SUCCEED, Product, Task, Video

if TYPE_CHECKING:
    from pendulum import DateTime

SUBMITTED_SHARE = 0.1  # of a task's time, for which its status is `submitted`


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A create that passed the checks.

    `title` is what the product is asked for, the scene of an effect. `pictures` are keys of the input images in the
    store. `failure` is the message with which the task fails at its end, "" if it succeeds. `base` is the URL that
    the request was sent to, `credential` the kind and name of the key that it came with.
    """

    title: str
    product: Product = EFFECTS
    pictures: tuple[str, ...] = ()
    external_task_id: str | None = None
    callback_url: str | None = None
    fingerprint: str = ""
    failure: str = ""
    base: str = ""
    credential: str = ""


@dataclass(kw_only=True)
class Plan:
    """How the next tasks turn out whose scene or external id contains `match`.

    It holds for `times` tasks (None: all). They take `duration` seconds, or `never` end. They fail with the message
    `fail`. `status` replaces their own status in answers.
    """

    match: str = ""
    times: int | None = 1
    duration: float | None = None
    never: bool = False
    fail: str = ""
    status: str = ""

    def matches(self, order: Order) -> bool:
        """Whether the plan is for this task."""
        return self.times != 0 and (self.match in order.title or self.match in (order.external_task_id or ""))


@dataclass(slots=True, kw_only=True)
class Record:
    """A task. Its times and `failure` decide its status; `status_override`, if set, replaces it in answers.

    `epoch` counts how often its links have expired on request. `holds_slot` is whether it still counts as running.
    `announced` is the status of its last callback.
    """

    serial: int
    kling_task_id: str
    order: Order
    created_at: float
    starts_at: float
    ends_at: float
    price: str
    failure: str = ""
    status_override: str = ""
    epoch: int = 0
    holds_slot: bool = True
    forgotten: bool = False
    announced: str = ""

    def status(self, now: float) -> str:
        """Its true status, one of the API's four."""
        if now < self.starts_at and now < self.ends_at:
            return SUBMITTED
        if now < self.ends_at:
            return PROCESSING
        return FAILED if self.failure else SUCCEED

    def done(self, now: float) -> bool:
        """Whether it has ended."""
        return now >= self.ends_at

    def updated_at(self, now: float) -> float:
        """When its status last changed."""
        if self.done(now):
            return self.ends_at
        return self.created_at if now < self.starts_at else self.starts_at

    def to_json(self, *, now: float, units: str, videos: tuple[Video, ...]) -> dict[str, Any]:
        """The task as a query answers it, without `watermark_info`."""
        done = self.done(now)
        data = Task(
            kling_task_id=self.kling_task_id,
            status=self.status_override or self.status(now),
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
        """All facts about the task, as JSON. `ends_at` is null for a task that never ends."""
        return {
            "kling_task_id": self.kling_task_id,
            "external_task_id": self.order.external_task_id,
            "effect_scene": self.order.title,
            "fingerprint": self.order.fingerprint,
            "status": self.status(now),
            "message": self.failure if self.done(now) else "",
            "created_at": self.created_at,
            "ends_at": None if math.isinf(self.ends_at) else self.ends_at,
            "units": units if self.done(now) else None,
            "forgotten": self.forgotten,
        }


def create_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a task's data that a create answers with."""
    return {key: data[key] for key in ("task_id", "task_status", "task_info", "created_at", "updated_at")}


def _moment(seconds: float) -> DateTime:
    # `Task.to_json` needs only a datetime, which is made five times as fast; a page may hold 500 tasks.
    return cast("DateTime", datetime.fromtimestamp(seconds, timezone.utc))
