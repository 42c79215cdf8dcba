"""Who may create next: the account's slots, as far as they are known, and a fair queue for them.

Kling does not say how many slots an account has, and other programs may use them. So the limit is learned: creates are sent
until one is refused (code 1303), and then as many tasks run as did at that moment. A refused create costs nothing but a
request, but a thousand waiting requests that try in turn would be a storm. So requests queue here, and a create is sent
only if it is likely to be accepted, or if it is time to find out whether the account has more slots by now.

The slots of other programs are counted from what sweeps of the list show (`saw_others`). The list may not show all that use
slots, and a user may buy more of them: so a limit holds only until something shows that it is wrong.

Pure: times are passed in, in seconds.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from airflow_provider_kling.dispatch.fair_share import FairShare

# While no limit is known, one create more is sent at once for each so many accepted ones. Then few creates are refused in
# an account with a hundred slots, and an account without a limit is filled in some dozen round trips.
ACCEPTED_FOR_ONE_MORE = 16
# Seconds until one create finds out whether there are more slots than the limit; longer after each refusal.
PROBE_AFTER, LONGEST_PROBE = 120.0, 1200.0
# The same while none of the slots is ours. There is no end of a task to wait for, so the pause is short: one second at
# first, as the vendor advises.
EMPTY_PROBE, LONGEST_EMPTY_PROBE, GROWTH = 1.0, 15.0, 1.5


@dataclass(eq=False)
class SlotRequest:
    """A submission that needs a slot. Those of one group (a DAG run, a manifest) take turns with those of other groups."""

    group: str
    granted: bool = False
    queued: bool = False
    refused: bool = False  # Kling has refused its create, so it goes to the front of the queue


class Slots:
    """The slots of one account, for all requests of one process. `max_concurrency` is the user's own limit, if any."""

    def __init__(self, max_concurrency: int | None = None) -> None:
        self.max_concurrency = max_concurrency
        self.limit: int | None = None  # the account's, once it has refused a create
        self.ours: set[str] = set()  # ids of our tasks that hold a slot, as far as known
        self.others = 0  # slots that other programs hold, according to the last sweep
        self.creating = 0  # requests that were granted and are not answered yet
        self.accepted = 0
        self.fair_share = FairShare()
        self._queue: OrderedDict[str, deque[SlotRequest]] = OrderedDict()
        self._probe_pause = PROBE_AFTER
        self._empty_pause = EMPTY_PROBE
        self._probe_at = 0.0
        self._held_until = 0.0

    # --- The queue

    @property
    def waiting(self) -> int:
        """How many requests are queued."""
        return sum(len(requests) for requests in self._queue.values())

    def join(self, request: SlotRequest) -> None:
        """Queue a request behind the others of its group, and in turn with other groups; in front if it was refused."""
        request.queued = True
        requests = self._queue.setdefault(request.group, deque())
        if request.refused:
            requests.appendleft(request)
            self._queue.move_to_end(request.group, last=False)
        else:
            requests.append(request)

    def leave(self, request: SlotRequest) -> None:
        """Give up a request: its place in the queue, or a grant that it has not used."""
        if request.queued:
            request.queued = False
            requests = self._queue[request.group]
            requests.remove(request)
            if not requests:
                del self._queue[request.group]
        self._end(request)

    def grant(self, now: float) -> SlotRequest | None:
        """The next request that may create now, if there is one. Report how its create ended with a method below, or leave."""
        if not self._queue or not self._may_create(now):
            return None
        group, requests = next(iter(self._queue.items()))
        request = requests.popleft()
        del self._queue[group]
        if requests:
            self._queue[group] = requests  # to the end: the other groups come first
        request.queued, request.granted = False, True
        self.creating += 1
        return request

    # --- What is free

    @property
    def used(self) -> int:
        """How many slots this process uses, or may use soon."""
        return len(self.ours) + self.creating

    @property
    def short(self) -> bool:
        """Whether requests wait for slots to become free, and not just for creates that are under way."""
        return bool(self._queue) and (self.limit is not None or self._user_limit_reached)

    @property
    def _user_limit_reached(self) -> bool:
        return self.max_concurrency is not None and self.used + self.others >= self.max_concurrency

    def _may_create(self, now: float) -> bool:
        """Whether one more create is likely to be accepted, or is worth a try."""
        if now < self._held_until or self._user_limit_reached:
            return False
        if self.limit is None:
            return self.creating < 1 + self.accepted // ACCEPTED_FOR_ONE_MORE
        free = self.limit - self.used - self.others
        if free > 0:
            self.fair_share.consider(now, ours=len(self.ours), others=self.others)
            return free > self.fair_share.reserved(now)
        return not self.creating and now >= self._probe_at

    def wake_at(self, now: float) -> float | None:
        """When to call `grant` again if nothing happens before; None while nothing is queued."""
        if not self._queue:
            return None
        if self.fair_share.reserved(now):
            return max(self._held_until, self.fair_share.until)
        return max(self._held_until, self._probe_at if self.limit is not None else 0.0)

    # --- How a create ended

    def accept(self, request: SlotRequest, kling_task_id: str) -> None:
        """The create has made a task, which holds a slot from now on."""
        self._end(request)
        self.ours.add(kling_task_id)
        self.accepted += 1
        self._empty_pause = EMPTY_PROBE
        if self.limit is not None and self.used + self.others > self.limit:
            self.limit, self._probe_pause = None, PROBE_AFTER  # there are more slots than known: learn the limit anew

    def refuse(self, request: SlotRequest, *, now: float) -> None:
        """Kling has refused the create: all slots are taken."""
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
        """Kling wants fewer requests: no create before `until`."""
        self._end(request)
        self._held_until = max(self._held_until, until)

    def fail(self, request: SlotRequest) -> None:
        """The create has made no task, or nobody knows whether it has."""
        self._end(request)

    # --- What is seen of tasks

    def hold(self, kling_task_id: str) -> None:
        """This task is ours and holds a slot, though it was created before or elsewhere."""
        self.ours.add(kling_task_id)

    def free_up(self, kling_task_id: str) -> None:
        """This task holds no slot any more."""
        self.ours.discard(kling_task_id)

    def saw_others(self, running: int) -> None:
        """A sweep has shown so many running tasks that are not ours."""
        self.others = running
        self.fair_share.saw_others(running)
        if self.limit is not None:
            self.limit = max(self.limit, len(self.ours) + running)

    def _end(self, request: SlotRequest) -> None:
        if request.granted:
            request.granted = False
            self.creating -= 1
