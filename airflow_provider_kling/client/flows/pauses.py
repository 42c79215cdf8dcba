"""How long to pause, and how to write a span of time."""

from __future__ import annotations

import random

LONGEST_TROUBLE_PAUSE = 60.0  # seconds between two attempts while the API cannot be reached


def jittered(seconds: float) -> float:
    """About so many seconds, so that many waiters do not act in the same moment."""
    return seconds * random.uniform(0.85, 1.15)  # noqa: S311 - not for secrets


def format_seconds(seconds: float) -> str:
    """A span of time for people: `42 s`, `7 min`, `3.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
