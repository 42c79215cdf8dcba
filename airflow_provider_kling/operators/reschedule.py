"""Rescheduling: how a task waits if only workers can do its work."""

from __future__ import annotations

import random
import time
from datetime import datetime, timedelta, timezone
from typing import Any, NoReturn

from airflow_provider_kling.outcomes import AirflowRescheduleException

RESCHEDULE_AFTER = 10.0  # seconds, at least: a fast end would meet the race that triggers.HOLD_BACK describes


def reschedule(log: Any, error: Exception, *, deadline: float) -> NoReturn:
    """Let Airflow start the task again in 10 to 20 s, without a retry; KlingTimeoutError past `deadline` (Unix seconds)."""
    from airflow_provider_kling.errors import KlingSlotsFullError, KlingTimeoutError

    if time.time() >= deadline:
        raise KlingTimeoutError(f"No Kling task could be created until the timeout. Last answer: {error}") from error
    reason = "All slots of the account are taken." if isinstance(error, KlingSlotsFullError) else str(error)
    pause = random.uniform(RESCHEDULE_AFTER, 2 * RESCHEDULE_AFTER)  # noqa: S311 - only spreads the load
    log.info("%s Trying again in %.0f s, without a retry; only workers can read this image.", reason, pause)
    raise AirflowRescheduleException(datetime.now(timezone.utc) + timedelta(seconds=pause))
