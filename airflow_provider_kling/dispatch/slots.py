"""Who may create next: the account's slots as far as they are known, and a fair queue for them.

Nobody tells how many slots an account has, and other programs may use them. What is known comes from creates that were
accepted or refused (1303), and from what a look at the list shows of others. Pure: times are handed in, in seconds.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

# While no limit is known, one create more at once for so many that were accepted: of a quota's first hundred creates a
# few may be refused, and an account without one is filled in some dozen round trips.
ACCEPTED_FOR_ONE_MORE = 16
# With the limit reached, how long until one create finds out whether there are more slots by now.
PROBE_AFTER, LONGEST_PROBE = 120.0, 1200.0
# With none of the slots ours, there is no end of a task to wait for: try again from a second (the vendor's advice) on.
EMPTY_PROBE, LONGEST_EMPTY_PROBE, GROWTH = 1.0, 15.0, 1.5
# Whoever holds more of the slots than all others together leaves one free now and then: for so long, so often; less and
# less often while nobody takes it. Times as parts of what a task typically takes, and at least so many seconds.
LEAVE_FOR, LEAVE_FOR_LEAST = 0.1, 1.0
LEAVE_EVERY, LEAVE_EVERY_LEAST, LEAVE_EVERY_MOST = 0.5, 3.0, 600.0


@dataclass(eq=False)
class SlotRequest:
    """A submission for one slot. Those of one group (a DAG run, a manifest) take turns with other groups."""

    group: str
    granted: bool = False
    queued: bool = False
    refused: bool = False  # its create was, so that it stands first again


class Slots:
    """The slots of one account, for all that one process wants of it."""

    def __init__(self, most: int | None = None) -> None:
        self.most = most  # what the user allows
        self.limit: int | None = None  # what the account allows, when it has refused one
        self.ours: set[str] = set()  # ids of tasks that hold a slot, as far as is known
        self.others = 0  # slots that other programs hold, as far as a look has shown
        self.creating = 0  # granted, and not yet answered
        self._queue: OrderedDict[str, deque[SlotRequest]] = OrderedDict()
        self.accepted = 0
        self._probe_pause = PROBE_AFTER
        self._empty_pause = EMPTY_PROBE
        self._probe_at = 0.0
        self._held_until = 0.0
        self.typical = 0.0  # seconds that a task takes, as far as it is known
        self._leaving_until = 0.0
        self._leave_at = 0.0
        self._leave_pause = 0.0
        self._others_before = 0

    # --- The queue

    @property
    def waiting(self) -> int:
        return sum(len(requests) for requests in self._queue.values())

    def join(self, request: SlotRequest) -> None:
        """Stand in the queue: behind the others of its group, and in turn with the other groups."""
        request.queued = True
        requests = self._queue.setdefault(request.group, deque())
        if request.refused:
            requests.appendleft(request)
            self._queue.move_to_end(request.group, last=False)
        else:
            requests.append(request)

    def leave(self, request: SlotRequest) -> None:
        """Give up: the place in the queue, or the slot that was granted and not used."""
        if request.queued:
            request.queued = False
            requests = self._queue[request.group]
            requests.remove(request)
            if not requests:
                del self._queue[request.group]
        self._end(request)

    def grant(self, now: float) -> SlotRequest | None:
        """The next request that may create now, if there is one."""
        if not self._queue or not self.free(now):
            return None
        group, requests = next(iter(self._queue.items()))
        request = requests.popleft()
        del self._queue[group]
        if requests:
            self._queue[group] = requests  # at the end: the other groups come first
        request.queued, request.granted = False, True
        self.creating += 1
        return request

    # --- What is free

    @property
    def used(self) -> int:
        return len(self.ours) + self.creating

    @property
    def _at_most(self) -> bool:
        """Whether as many run as the user allows."""
        return self.most is not None and self.used + self.others >= self.most

    @property
    def short(self) -> bool:
        """Whether those who wait need slots to become free. Else it is only creates under way that hold them back."""
        return bool(self._queue) and (self.limit is not None or self._at_most)

    def free(self, now: float) -> bool:
        """Whether one more create is likely to be accepted, or is worth finding out."""
        if now < self._held_until or self._at_most:
            return False
        if self.limit is None:
            return self.creating < 1 + self.accepted // ACCEPTED_FOR_ONE_MORE
        if self.used + self.others < self.limit:
            return self.used + self.others + self._left(now) < self.limit
        return not self.creating and now >= self._probe_at

    def _left(self, now: float) -> int:
        """How many free slots are left to others: one at times, while they hold fewer than this process.

        Without it each slot would stay with whoever saw its task end, and shares be as chance has made them at first.
        """
        if now < self._leaving_until:
            return 1
        if not self.others or len(self.ours) <= self.others + 1 or now < self._leave_at:
            return 0
        self._leaving_until = now + max(LEAVE_FOR_LEAST, LEAVE_FOR * self.typical)
        self._leave_pause = min(LEAVE_EVERY_MOST, max(self._pause_between(), 2 * self._leave_pause))
        self._leave_at = self._leaving_until + self._leave_pause
        self._others_before = self.others
        return 1

    def _pause_between(self) -> float:
        return max(LEAVE_EVERY_LEAST, LEAVE_EVERY * self.typical)

    def wake_at(self, now: float) -> float | None:
        """When to ask again whether somebody may create, if nothing else happens before."""
        if not self._queue:
            return None
        if now < self._leaving_until:
            return max(self._held_until, self._leaving_until)
        return max(self._held_until, self._probe_at if self.limit is not None else 0.0)

    # --- What has happened

    def accept(self, request: SlotRequest, kling_task_id: str) -> None:
        """A create has made a task, which holds a slot from now on."""
        self._end(request)
        self.ours.add(kling_task_id)
        self.accepted += 1
        self._empty_pause = EMPTY_PROBE
        if self.limit is not None and self.used + self.others > self.limit:
            self.limit, self._probe_pause = None, PROBE_AFTER  # there is more than was known: find out how much

    def refuse(self, request: SlotRequest, *, now: float) -> None:
        """A create was refused: all slots are taken."""
        self._end(request)
        request.refused = True
        if self.limit is not None and self.used + self.others >= self.limit:
            self._probe_pause = min(self._probe_pause * 2, LONGEST_PROBE)
        self.limit = self.used + self.others
        if self.used:
            self._empty_pause = EMPTY_PROBE
            self._probe_at = now + self._probe_pause
        else:
            self._probe_at = now + self._empty_pause
            self._empty_pause = min(self._empty_pause * GROWTH, LONGEST_EMPTY_PROBE)

    def hold_off(self, request: SlotRequest, *, until: float) -> None:
        """Kling wants fewer requests: no create before then."""
        self._end(request)
        self._held_until = max(self._held_until, until)

    def fail(self, request: SlotRequest) -> None:
        """A create came to nothing, or nobody knows to what."""
        self._end(request)

    def hold(self, kling_task_id: str) -> None:
        """This task, made before or elsewhere, holds a slot too."""
        self.ours.add(kling_task_id)

    def free_up(self, kling_task_id: str) -> None:
        """This task has ended."""
        self.ours.discard(kling_task_id)

    def saw_others(self, running: int) -> None:
        """A look has shown so many running tasks that are not ours."""
        self.others = running
        if self._leaving_until and running > self._others_before:  # somebody has taken what was left
            self._leave_at = self._leaving_until + self._pause_between()
            self._leaving_until, self._leave_pause = 0.0, 0.0
        if self.limit is not None:
            self.limit = max(self.limit, len(self.ours) + running)

    def _end(self, request: SlotRequest) -> None:
        if request.granted:
            request.granted = False
            self.creating -= 1
