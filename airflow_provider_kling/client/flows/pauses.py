"""How long to pause."""

from __future__ import annotations

import random

from airflow_provider_kling.client.flows.steps import Flow, Sleep

LONGEST_TROUBLE_PAUSE = 60.0  # seconds between two attempts while the API cannot be reached
LONGEST_RETRY_AFTER = 60.0  # seconds of a Retry-After that are heeded: a server may ask for days


def asked_pause(error: Exception, seconds: float) -> float:
    """The pause after this error: so many seconds, or as long as the server asked for, within bounds."""
    asked = getattr(error, "retry_after", None) or 0.0
    return max(seconds, min(asked, LONGEST_RETRY_AFTER))


def pause(seconds: float, deadline: float | None = None) -> Flow[float]:
    """Wait so many seconds, but not past the deadline. Brings the time at which the wait ended."""
    if deadline is not None:
        now = yield Sleep(0)
        seconds = min(seconds, max(0.0, deadline - now))
    ended: float = yield Sleep(seconds)
    return ended


def jittered(seconds: float) -> float:
    """About so many seconds, so that many waiters do not act in the same moment."""
    return seconds * random.uniform(0.85, 1.15)  # noqa: S311 - not for secrets
