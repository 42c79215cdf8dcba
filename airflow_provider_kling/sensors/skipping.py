"""What `soft_fail` and `never_fail` ask for, the same in all modes of a sensor."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from airflow_provider_kling.errors import KlingError
from airflow_provider_kling.outcomes import AirflowRescheduleException
from airflow_provider_kling.retry_policy import worth_a_retry


class CanSkip(Protocol):
    """The part of a sensor that this module uses."""

    soft_fail: bool
    never_fail: bool


@contextlib.contextmanager
def skipping(sensor: CanSkip) -> Iterator[None]:
    """Skip instead of failing, as `soft_fail` and `never_fail` ask for in poke mode: the same in all modes.

    `soft_fail` skips for a time-out and for an error that no retry mends, `never_fail` for any error.
    """
    try:
        yield
    except (AirflowSkipException, AirflowRescheduleException):
        raise
    except (Exception, AirflowTaskTimeout) as error:
        final = isinstance(error, AirflowFailException | AirflowSensorTimeout | AirflowTaskTimeout)
        final = final or (isinstance(error, KlingError) and not worth_a_retry(error, sensor=True))  # with a policy of the author
        if sensor.never_fail or (sensor.soft_fail and final):
            asked = "never_fail" if sensor.never_fail else "soft_fail"
            raise AirflowSkipException(f"Skipped, as {asked} is set: {str(error) or type(error).__name__}") from error
        raise
