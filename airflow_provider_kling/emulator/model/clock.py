"""The account's time, which may run faster than a wall clock, or stand still until it is moved by hand."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Unix seconds of the account. `real` is the wall clock that it starts from."""

    def __init__(self, *, speed: float = 1.0, manual: bool = False, real: Callable[[], float] = time.time) -> None:
        self._real = real
        self._speed = 0.0 if manual else speed
        self._base = self._since = real()

    def now(self) -> float:
        """The account's time. It never runs backwards, whatever the wall clock does."""
        return self._base + max(0.0, self._real() - self._since) * self._speed

    def advance(self, seconds: float) -> None:
        """Move the account's time forward by hand; it goes on from there."""
        if not seconds >= 0:
            raise ValueError(f"Time moves forward only, not by {seconds} seconds.")
        self._go_on_from(self.now() + seconds)

    def set_speed(self, speed: float) -> None:
        """How fast it runs from now on; 0 makes it stand still."""
        now = self.now()
        self._speed = speed
        self._go_on_from(now)

    def wait_until(self, moment: float) -> float | None:
        """Wall-clock seconds until that moment; None when it does not come by itself."""
        ahead = moment - self.now()
        if ahead <= 0:
            return 0.0
        return ahead / self._speed if self._speed else None

    def _go_on_from(self, moment: float) -> None:
        self._base, self._since = moment, self._real()
