"""The hook's own calls, and what they may take where the caller sets no deadline."""

from __future__ import annotations

import uuid

import pendulum

from airflow_provider_kling.api import Call, Product, ResourcePack, Task, TaskRequest, costs_call
from airflow_provider_kling.client import KlingSettings, flows, last_answer_by, monotonic_now

CALL_TIMEOUT = 30.0  # seconds for a query with all its tries, unless the connection's timeout is longer
CREATE_TIMEOUT = 300.0  # seconds for a create with its lookups
SAVE_TIMEOUT = 3600.0  # seconds for the videos of one task


def call_deadline(settings: KlingSettings) -> float:
    """When a call must have ended, its tries and pauses included, on the monotonic clock."""
    return monotonic_now() + max(CALL_TIMEOUT, settings.timeout)


def create_flow(
    product: Product,
    request: TaskRequest,
    *,
    external_task_id: str | None,
    callback_url: str | None,
    adopt_existing: bool,
    retry_wait: float,
) -> tuple[flows.Flow[Task], float]:
    """The flow of one create, and when its last answer must have come."""
    submission = flows.Submission(
        request=request,
        external_id=external_task_id or f"kling-{uuid.uuid4().hex}",
        callback_url=callback_url,
        adopt_existing=adopt_existing,
    )
    deadline = monotonic_now() + CREATE_TIMEOUT
    return flows.create(product, submission, retry_wait=retry_wait, deadline=deadline), last_answer_by(deadline)


def packs_call(start: pendulum.DateTime | None, end: pendulum.DateTime | None, name: str | None) -> Call[list[ResourcePack]]:
    """The call for the resource packs of a period, by default the last year."""
    end = end or pendulum.now("UTC")
    return costs_call(start=start or end.subtract(years=1), end=end, name=name)
