"""The shortest possible time for some tasks over the slots of an account."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def ideal(durations: Sequence[float], slots: int) -> float:
    """The seconds that these tasks take over this many slots, in this order and without any gap."""
    ends = [0.0] * min(slots, len(durations))
    for duration in durations:
        heapq.heapreplace(ends, ends[0] + duration)
    return max(ends)
