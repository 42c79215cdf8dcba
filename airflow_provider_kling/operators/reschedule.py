"""Rescheduling: how a task waits if only workers can do its work."""

from __future__ import annotations

import logging
import random
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_kling.metrics import CREATE_SPAN
from airflow_provider_kling.outcomes import AirflowRescheduleException

if TYPE_CHECKING:
    from airflow_provider_kling.api import Task
    from airflow_provider_kling.client import Deadline, Submission
    from airflow_provider_kling.hooks import KlingHook

RESCHEDULE_AFTER = 10.0  # seconds, at least: a fast end would meet the race that triggers.HOLD_BACK describes


def create_or_reschedule(hook: KlingHook, submission: Submission, deadline: Deadline, *, log: Any, level: int) -> Task:
    """Create the task now, or release the worker until there may be a slot. KlingTimeoutError past the deadline."""
    from airflow_provider_kling.client import flows, last_answer_by
    from airflow_provider_kling.errors import KlingError

    flow = flows.create_when_free(hook.product, submission, deadline=deadline.monotonic, once=True)
    try:
        return hook.run(flow, last_answer_by(deadline.monotonic), span=CREATE_SPAN)
    except KlingError as error:
        if not error.retryable:
            raise
        reschedule(log, error, level=level, conn_id=hook.kling_conn_id)


def reschedule(log: Any, error: Exception, *, level: int, conn_id: str) -> NoReturn:
    """Let Airflow start the task again in 10 to 20 s, without a retry. Only errors other than full slots are always logged."""
    from airflow_provider_kling.client import flows
    from airflow_provider_kling.errors import KlingSlotsFullError

    reason = f"{flows.describe_refusal(error)}."
    pause = random.uniform(RESCHEDULE_AFTER, 2 * RESCHEDULE_AFTER)  # noqa: S311 - only spreads the load
    text = "Connection %s: %s Trying again every 10 to 20 s, without a retry; only workers can read this image."
    log.log(level if isinstance(error, KlingSlotsFullError) else logging.INFO, text, conn_id, reason)
    raise AirflowRescheduleException(datetime.now(timezone.utc) + timedelta(seconds=pause))
