"""What the slots of an account could do at best."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def ideal(durations: Sequence[float], slots: int) -> float:
    """Seconds for these tasks, in this order, on so many slots, when nothing takes any time but they."""
    ends = [0.0] * min(slots, len(durations))
    for duration in durations:
        heapq.heapreplace(ends, ends[0] + duration)
    return max(ends)
