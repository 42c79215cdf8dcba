"""Who may create next: the account's slots, as far as they are known, and a fair queue for them.

Kling does not say how many slots an account has, and other programs may use them. So the limit is learned: creates are sent
until one is refused (code 1303), and then as many tasks run as did at that moment. A refused create costs nothing but a
request, but a thousand waiting requests that try in turn would be a storm. So requests queue here, and a create is sent
only if it is likely to be accepted, or if it is time to find out whether the account has more slots by now.

The slots of other programs are counted from what sweeps of the list show (`saw_others`). The list may not show all that use
slots, and a user may buy more of them: so a limit holds only until something shows that it is wrong.

Whatever keeps a request waiting ends with an event that is reported here, or at a time that `opens_at` names.

Pure: times are passed in, in seconds.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from airflow_provider_kling.dispatch.fair_share import FairShare
from airflow_provider_kling.errors import KlingError

# While no limit is known, one create more is sent at once for each so many accepted ones. Then few creates are refused in
# an account with a hundred slots, and an account without a limit is filled in some dozen round trips.
ACCEPTED_FOR_ONE_MORE = 16
# One create finds out whether there are more slots than the limit. A refusal is a request for nothing, so probes are rare:
# after so many seconds if others used the account, since their ends may have been missed, or if so many creates were accepted
# meanwhile; or else after so many seconds. Longer after each refusal.
PROBE_AFTER, LONGEST_PROBE = 120.0, 1200.0
PROBE_ACCEPTED, MOST_PROBE_ACCEPTED = 40, 160
PROBE_ANYWAY, LONGEST_PROBE_ANYWAY = 3600.0, 14_400.0
# The same while no task is known that holds a slot. There is no end to wait for, so the pause is short: one second at
# first, as the vendor advises.
EMPTY_PROBE, LONGEST_EMPTY_PROBE, GROWTH = 1.0, 15.0, 1.5
# A create that is not answered for so long does not keep others from being sent, while no limit is known.
SLOW_CREATE = 10.0
LONGEST_HOLD = 60.0  # seconds without a create after code 1302, whatever the server asks for


@dataclass(eq=False)
class SlotRequest:
    """A submission that needs a slot. Those of one group (a DAG run, a manifest) take turns with those of other groups."""

    group: str
    granted: bool = False
    queued: bool = False
    refused: bool = False  # Kling has refused its create, so it goes to the front of the queue
    error: KlingError | None = None  # what has ended its wait in the queue
    turn: asyncio.Future[None] | None = None  # done when its wait in the queue is over, for whatever reason

    def settle(self, error: KlingError | None = None) -> None:
        """The wait in the queue is over: a grant, an error, or neither if the deadline has come."""
        self.error = error
        if self.turn is not None and not self.turn.done():
            self.turn.set_result(None)


class Slots:
    """The slots of one account, for all requests of one process. `max_concurrency` is the user's own limit, if any."""

    def __init__(self, max_concurrency: int | None = None) -> None:
        self.max_concurrency = max_concurrency
        self.limit: int | None = None  # the account's, once it has refused a create
        self.ours: set[Hashable] = set()  # our tasks that hold a slot, as far as known
        self.others = 0  # slots that other programs hold, according to the last sweep
        self._granted_at: dict[SlotRequest, float] = {}  # requests that were granted and are not answered yet
        self.accepted = 0
        self.fair_share = FairShare()
        self._queue: OrderedDict[str, deque[SlotRequest]] = OrderedDict()
        self._waiting = 0
        self._held_until = -math.inf
        self._refused_at = -math.inf
        self._accepted_before = 0  # when a create was last refused
        self._others_seen = False  # since then
        self._confirmed = 0  # refusals in a row that have shown nothing new
        self._empty_pause = self._next_empty_pause = EMPTY_PROBE
        self._probes = 1  # creates that may be sent at once beyond the limit
        self._probe_now = False  # the last probe has found a slot
        self._surprised = False  # a create was accepted beyond the limit; a sweep tells whether there are more slots

    # --- The queue

    @property
    def waiting(self) -> int:
        """How many requests are queued."""
        return self._waiting

    def join(self, request: SlotRequest) -> None:
        """Queue a request behind the others of its group, and in turn with other groups; in front if it was refused."""
        request.queued, request.error = True, None
        self._waiting += 1
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
            self._waiting -= 1
            requests = self._queue[request.group]
            requests.remove(request)
            if not requests:
                del self._queue[request.group]
        self._end(request)

    def leave_all(self) -> list[SlotRequest]:
        """Give up all queued requests; returns them."""
        requests = [request for group in self._queue.values() for request in group]
        for request in requests:
            self.leave(request)
        return requests

    def grant(self, now: float) -> SlotRequest | None:
        """The next request that may create now, if there is one. Report how its create ended with a method below, or leave."""
        if not self._queue or not self._may_create(now):
            return None
        group, requests = next(iter(self._queue.items()))
        request = requests.popleft()
        del self._queue[group]
        if requests:
            self._queue[group] = requests  # to the end: the other groups come first
        self._waiting -= 1
        request.queued, request.granted = False, True
        self._granted_at[request] = now
        return request

    # --- What is free

    @property
    def creating(self) -> int:
        """How many requests were granted and are not answered yet."""
        return len(self._granted_at)

    @property
    def used(self) -> int:
        """How many slots this process uses, or may use soon."""
        return len(self.ours) + self.creating

    @property
    def short(self) -> bool:
        """Whether requests wait for slots to become free, and not just for creates that are under way."""
        return bool(self._queue) and (self.limit is not None or self.user_limit_reached)

    @property
    def surprised(self) -> bool:
        """Whether a create was accepted beyond the limit: either there are more slots, or a task has ended unnoticed."""
        return self._surprised

    @property
    def user_limit_reached(self) -> bool:
        """Whether as many tasks run as the user permits: the account may have more slots."""
        return self.max_concurrency is not None and self.used + self.others >= self.max_concurrency

    def _may_create(self, now: float) -> bool:
        """Whether one more create is likely to be accepted, or is worth a try."""
        if now < self._held_until or self.user_limit_reached:
            return False
        if self.limit is None and self._creating_fast(now) >= 1 + self.accepted // ACCEPTED_FOR_ONE_MORE:
            return False
        limits = [limit for limit in (self.limit, self.max_concurrency) if limit is not None]
        if not limits:
            return True
        free = min(limits) - self.used - self.others
        if free > 0:
            self.fair_share.consider(now, ours=len(self.ours), others=self.others)
            return free > self.fair_share.reserved(now)
        return self._may_probe(now)

    def _may_probe(self, now: float) -> bool:
        beyond = self.used + self.others - (self.limit or 0)
        return self._creating_fast(now) < self._probes and beyond < self._probes and min(self._probe_times()) <= now

    def _creating_fast(self, now: float) -> int:
        """Of the requests that were granted and are not answered yet, those that may be answered soon."""
        return sum(now < at + SLOW_CREATE for at in self._granted_at.values())

    def _probe_times(self) -> Iterator[float]:
        """From when on a create beyond the limit is worth it; each of these times is a reason of its own."""
        if self._probe_now:
            yield -math.inf
        if not self.used and not self.others:
            yield self._refused_at + self._empty_pause
        longer = 2.0 ** min(self._confirmed, 10)
        yield self._refused_at + min(PROBE_ANYWAY * longer, LONGEST_PROBE_ANYWAY)
        accepted = self.accepted - self._accepted_before
        if self._others_seen or accepted >= min(PROBE_ACCEPTED * longer, MOST_PROBE_ACCEPTED):
            yield self._refused_at + min(PROBE_AFTER * longer, LONGEST_PROBE)

    def opens_at(self, now: float) -> float:
        """When to call `grant` again if nothing happens before; infinity if time alone changes nothing."""
        if not self._queue:
            return math.inf
        times = [self._held_until, self.fair_share.until, *(at + SLOW_CREATE for at in self._granted_at.values())]
        times += self._probe_times() if self.limit is not None else ()
        return min((at for at in times if at > now), default=math.inf)

    # --- How a create ended

    def accept(self, request: SlotRequest, task: Hashable) -> None:
        """The create has made a task, which holds a slot from now on."""
        self._end(request)
        self.ours.add(task)
        self.accepted += 1
        self._empty_pause = self._next_empty_pause = EMPTY_PROBE
        if self.limit is not None and self.used + self.others > self.limit:
            self._surprised = True

    def refuse(self, request: SlotRequest, *, now: float) -> None:
        """Kling has refused the create: all slots are taken."""
        self._end(request)
        request.refused = True
        confirmed = self.limit is not None and self.used + self.others >= self.limit
        self._confirmed = self._confirmed + 1 if confirmed else 0
        self.limit = self.used + self.others
        self._refused_at, self._accepted_before = now, self.accepted
        self._probes, self._probe_now, self._surprised, self._others_seen = 1, False, False, False
        if self.used:
            self._next_empty_pause = EMPTY_PROBE
        self._empty_pause = self._next_empty_pause
        if not self.used:
            self._next_empty_pause = min(self._empty_pause * GROWTH, LONGEST_EMPTY_PROBE)

    def hold_off(self, request: SlotRequest, *, now: float, seconds: float) -> None:
        """Kling wants fewer requests: no create for so many seconds, at most `LONGEST_HOLD`."""
        self._end(request)
        self._held_until = max(self._held_until, now + min(max(0.0, seconds), LONGEST_HOLD))

    def fail(self, request: SlotRequest) -> None:
        """The create has made no task, or nobody knows whether it has."""
        self._end(request)

    # --- What is seen of tasks

    def hold(self, task: Hashable) -> None:
        """This task is ours and holds a slot, though it was created before or elsewhere."""
        self.ours.add(task)

    def free_up(self, task: Hashable) -> None:
        """This task holds no slot any more."""
        self.ours.discard(task)

    def saw_others(self, running: int, *, now: float) -> None:
        """A sweep has shown so many running tasks that are not ours."""
        self.others = running
        self._others_seen = self._others_seen or running > 0
        self.fair_share.saw_others(running)
        if self.limit is None:
            return
        more = len(self.ours) + running > self.limit
        self.limit = max(self.limit, len(self.ours) + running)
        if self._surprised:
            self._surprised, self._probe_now = False, more
            self._probes = 2 * self._probes if more else 1
            if not more:  # a task had ended unnoticed, so the probe has shown nothing
                self._refused_at, self._accepted_before = now, self.accepted

    def forget_others(self) -> None:
        """The list cannot be read, so nobody knows what others hold. The account's own refusals tell; a user's limit cannot."""
        if self.max_concurrency is None:
            self.others = 0

    def _end(self, request: SlotRequest) -> None:
        request.granted = False
        self._granted_at.pop(request, None)
