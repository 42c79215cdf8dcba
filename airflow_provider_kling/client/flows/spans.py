"""Spans of time: those that workers name before they run a flow, and how to write one."""

from __future__ import annotations

RETRY_WAIT = 1.0  # seconds before a create whose response was lost is sent again, doubling from there


def format_seconds(seconds: float) -> str:
    """A span of time for people: `42 s`, `7 min`, `3.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
