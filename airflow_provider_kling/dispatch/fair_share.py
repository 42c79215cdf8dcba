"""Leaving a free slot to other programs now and then.

A free slot goes to the process that notices it first. That is nearly always the one whose task has ended in it, because it
knows best when to poll. Without a rule each slot would stay where it is, and the shares would stay as chance made them at
the start. So a process that holds more slots than all others together leaves one free for a while. If nobody uses it, the
next time comes later and later, because a slot that is left free in vain is lost.
"""

from __future__ import annotations

# How long one slot is left free, and the pause between two times. Parts of a typical duration, and seconds.
LEAVE_FOR, SHORTEST_LEAVE = 0.1, 1.0
PAUSE, SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 3.0, 600.0


class FairShare:
    """When one process leaves a free slot of its account to others. Times are passed in, in seconds."""

    def __init__(self) -> None:
        self.typical = 0.0  # seconds that a task takes, as far as known
        self.until = 0.0  # the end of the last time that a slot was left free; 0 if another program has used it
        self._next_at = 0.0
        self._pause = 0.0
        self._others_before = 0

    def reserved(self, now: float) -> int:
        """How many free slots are left to others at this moment: one or none."""
        return 1 if now < self.until else 0

    def consider(self, now: float, *, ours: int, others: int) -> None:
        """A slot is free. Leave it to others from now on, if it is time and they hold fewer slots than this process."""
        if self.reserved(now) or not others or ours <= others + 1 or now < self._next_at:
            return
        self.until = now + max(SHORTEST_LEAVE, LEAVE_FOR * self.typical)
        self._pause = min(LONGEST_PAUSE, max(self._usual_pause(), 2 * self._pause))
        self._next_at = self.until + self._pause
        self._others_before = others

    def saw_others(self, others: int) -> None:
        """Others hold so many slots. If they hold more than before, they have used the free one: the next comes soon."""
        if self.until and others > self._others_before:
            self._next_at = self.until + self._usual_pause()
            self.until, self._pause = 0.0, 0.0

    def _usual_pause(self) -> float:
        return max(SHORTEST_PAUSE, PAUSE * self.typical)
