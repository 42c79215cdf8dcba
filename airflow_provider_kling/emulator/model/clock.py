"""The account's time. It can run faster than the wall clock, or stand still until someone moves it."""

from __future__ import annotations

from collections.abc import Callable


class Clock:
    """The account's time in Unix seconds. `real` returns the wall clock, from which it starts."""

    def __init__(self, *, real: Callable[[], float], speed: float = 1.0, manual: bool = False) -> None:
        self._real = real
        self._speed = 0.0 if manual else speed
        self._base = self._since = real()

    def now(self) -> float:
        """The account's time. It never goes back, even if the wall clock does."""
        return self._base + max(0.0, self._real() - self._since) * self._speed

    def advance(self, seconds: float) -> None:
        """Move the time forward; it continues from there. Raises ValueError for a negative number."""
        if not seconds >= 0:
            raise ValueError(f"Time moves forward only, not by {seconds} seconds.")
        self._continue_from(self.now() + seconds)

    def set_speed(self, speed: float) -> None:
        """Change the speed from now on; 0 stops the clock."""
        now = self.now()
        self._speed = speed
        self._continue_from(now)

    def wait_until(self, moment: float) -> float | None:
        """Wall-clock seconds until that moment; None if the clock stands still before it."""
        ahead = moment - self.now()
        if ahead <= 0:
            return 0.0
        return ahead / self._speed if self._speed else None

    def _continue_from(self, moment: float) -> None:
        self._base, self._since = moment, self._real()
