"""Deadlines: what is stored and passed on is wall clock, what is waited for is measured on a clock that nobody can set."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.values import value

GRACE = 2.0  # seconds past a deadline for the answer to the last query, which tells what became of a task


def monotonic_now() -> float:
    """Seconds on the clock of the running event loop or, without one, on `time.monotonic`."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()


def monotonic_deadline(unix: float) -> float:
    """The moment of a Unix time on the monotonic clock. Convert once, when the wait begins: later the wall clock may be set."""
    return monotonic_now() + (unix - time.time())


def last_answer_by(deadline: float) -> float:
    """The deadline of a client that runs a flow with this deadline: the flow asks once more when its own has come."""
    return max(deadline, monotonic_now()) + GRACE


@value
class Deadline:
    """A deadline on both clocks: the Unix time is stored and passed on, the monotonic one is waited for."""

    unix: float
    monotonic: float

    @classmethod
    def of(cls, unix: float) -> Deadline:
        """The deadline at this Unix time, as the clocks are now."""
        return cls(unix, monotonic_deadline(unix))


def bounded(seconds: float, deadline: float | None) -> float:
    """So many seconds, or those until the deadline (monotonic), whichever are fewer."""
    return seconds if deadline is None else max(0.0, min(seconds, deadline - monotonic_now()))


def seconds(span: float | timedelta, what: str) -> float:
    """A span of time in seconds. KlingInputError, with the name `what`, for anything else."""
    if isinstance(span, timedelta):
        span = span.total_seconds()
    if isinstance(span, bool) or not isinstance(span, int | float) or not span > 0:
        raise KlingInputError(f"{what} is {span!r}; wanted is a positive number of seconds, or a timedelta.")
    return float(span)
