"""Time that passes at once: an event loop whose clock jumps to its next timer."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

START = 1_800_000_000.0  # Unix seconds


class VirtualSelector(selectors.DefaultSelector):
    """A selector that does not wait, but advances its clock by the timeout."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("All tasks wait, and none of them has a timer.")
        if timeout > 0:
            self.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time. `wall_offset` are seconds by which somebody has set the wall clock."""

    def __init__(self) -> None:
        self._clock = VirtualSelector()
        self.wall_offset = 0.0
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    def wall_time(self) -> float:
        """What `time.time` says in this loop."""
        return START + self._clock.now + self.wall_offset


@contextmanager
def virtual_time() -> Iterator[VirtualLoop]:
    """An event loop in virtual time; `time.time` follows it."""
    loop, real_time = VirtualLoop(), time.time
    time.time = loop.wall_time
    try:
        yield loop
    finally:
        time.time = real_time
        loop.close()
