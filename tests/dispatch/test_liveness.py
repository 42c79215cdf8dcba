"""Nothing waits without an end: the real dispatcher in virtual time, in worlds that hypothesis makes up.

Two processes share an account with other programs. Creates are refused, lost or answered late, polls trickle, the wall clock
is set, callers leave. Whatever happens, every submission and every wait ends by its deadline plus a second, and no slot stays
empty for longer than the longest planned pause while somebody waits for one. The dispatchers have no heartbeat here: each
wake-up must be one that the state has named.

`KLING_LIVENESS_EXAMPLES` sets how many busy worlds are tried; ten times as many are quiet. `make properties` tries a thousand.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
from examples import examples, many
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from kling_account import Account, AccountClient, Fault, RemoteTask
from virtual_time import virtual_time

from airflow_provider_kling.api import EFFECTS, EffectRequest, Task
from airflow_provider_kling.client import Submission
from airflow_provider_kling.dispatch import Dispatcher
from airflow_provider_kling.dispatch.plan import LONGEST_PAUSE_WITH_OTHERS
from airflow_provider_kling.dispatch.slots import LONGEST_HOLD
from airflow_provider_kling.errors import KlingError

EXAMPLES = int(os.environ.get("KLING_LIVENESS_EXAMPLES") or examples(50))
LATE = 1.0  # seconds after its deadline by which a caller must have been served
# Tasks take at most 40 s here, so no planned pause between two polls is longer than a hold that the server asks for.
LONGEST_PAUSE = LONGEST_HOLD + LONGEST_PAUSE_WITH_OTHERS
TIMEOUTS = st.sampled_from([0.5, 1.0, 5.0, 30.0, 120.0, 400.0, 400.0])
PAUSES = st.sampled_from([0.0, 0.0, 0.1, 1.0, 1.0, 5.0, 30.0, 100.0])
FAULTS = ["busy", "broken", "lost", "late"]
REQUEST = EffectRequest("squish", ["https://example.com/a.jpg"])


@dataclass
class Caller:
    """One submission or wait under way."""

    name: str
    task: asyncio.Task[Task]
    deadline: float  # by the clock of the loop
    began_at: float
    awaited: RemoteTask | None = None
    ended_at: float | None = None
    error: BaseException | None = None

    def end(self, now: float) -> None:
        self.ended_at, self.error = now, None if self.task.cancelled() else self.task.exception()


class World(RuleBasedStateMachine):
    """Each rule starts something or lets something happen; after that, some time passes."""

    @initialize(
        slots=st.integers(1, 5),
        limits=st.tuples(*[st.sampled_from([None, None, 1, 2, 4])] * 2),
        order=st.sampled_from(["newest", "oldest", "shuffled"]),
        hidden=st.sampled_from(["no", "no", "cap", "lag"]),
        names_videos=st.booleans(),
        seed=st.integers(0, 2**16),
        fault=st.sampled_from([None, *FAULTS]),
        others=st.integers(0, 3),
    )
    def begin(
        self,
        slots: int,
        limits: tuple[int | None, ...],
        order: str,
        hidden: str,
        names_videos: bool,
        seed: int,
        fault: str | None,
        others: int,
    ) -> None:
        self.context = virtual_time()
        self.loop = self.context.__enter__()
        random.seed(seed)
        chance = random.Random(seed)
        self.account = Account(slots, self.loop.time, chance, order=order, names_videos=names_videos)
        self.account.page_cap, self.account.lag = (10, 0.0) if hidden == "cap" else (500, 20.0 if hidden == "lag" else 0.0)
        self.limits, self.hides = limits, hidden != "no"
        self.clients = [AccountClient(self.account, limit) for limit in limits]
        self.dispatchers = [Dispatcher(client, EFFECTS, heartbeat=float("inf")) for client in self.clients]
        self.callers: list[Caller] = []
        self.empty_since = [0.0, 0.0]
        self.idle: list[str] = []
        self.watcher = self.loop.create_task(self.watch())
        self.account.faults["create"].extend([Fault(fault)] if fault else ())
        for _ in range(others):
            self.account.create(None)

    # --- What callers do

    @rule(
        process=st.integers(0, 1),
        group=st.sampled_from("ab"),
        timeout=TIMEOUTS,
        adopt=st.booleans(),
        count=st.integers(1, 6),
        pause=PAUSES,
    )
    def submit(self, process: int, group: str, timeout: float, adopt: bool, count: int, pause: float) -> None:
        for _ in range(count):
            name = f"p{process}-{len(self.callers)}"
            submission = Submission(request=REQUEST, external_id=name, adopt_existing=adopt)
            deadline = self.loop.wall_time() + timeout
            dispatcher = self.dispatchers[process]
            self.call(name, dispatcher.create(submission, deadline=deadline, group=group, log=discard), timeout)
        self.pass_time(pause)

    @rule(process=st.integers(0, 1), pick=st.integers(0, 30), timeout=TIMEOUTS, by_external_id=st.booleans(), pause=PAUSES)
    def wait(self, process: int, pick: int, timeout: float, by_external_id: bool, pause: float) -> None:
        if not self.account.tasks:
            return
        remote = self.account.tasks[pick % len(self.account.tasks)]
        any_id = (by_external_id and remote.external_task_id) or remote.kling_task_id
        deadline = self.loop.wall_time() + timeout
        waiting = self.dispatchers[process].wait(any_id, deadline=deadline, poll_interval=10, log=discard)
        self.call(f"wait for {any_id}", waiting, timeout, awaited=remote)
        self.pass_time(pause)

    @rule(pick=st.integers(0, 30), pause=PAUSES)
    def leave(self, pick: int, pause: float) -> None:
        running = [caller for caller in self.callers if caller.ended_at is None]
        if running:
            caller = running[pick % len(running)]
            caller.task.cancel()
            self.pass_time(pause)

    # --- What happens to them

    @rule(count=st.integers(1, 4), pause=PAUSES)
    def others_create(self, count: int, pause: float) -> None:
        for _ in range(count):
            self.account.create(None)
        self.pass_time(pause)

    @rule(seconds=st.sampled_from([1.0, 10.0, 60.0]), pause=PAUSES)
    def another_product_takes_all_slots(self, seconds: float, pause: float) -> None:
        now = self.loop.time()
        for number in range(self.account.slots - self.account.running):
            self.account.tasks.append(RemoteTask(f"other-{now}-{number}", None, now, now + seconds, listed=False))
        self.pass_time(pause)

    @rule(kind=st.sampled_from(FAULTS), seconds=st.sampled_from([0.0, 3.0, 20.0, 300.0, 86400.0]))
    def create_goes_wrong(self, kind: str, seconds: float) -> None:
        self.account.faults["create"].append(Fault(kind, seconds))

    @rule(
        on=st.sampled_from(["list", "get"]),
        kind=st.sampled_from(FAULTS),
        seconds=st.sampled_from([0.0, 3.0, 20.0, 300.0]),
        times=st.integers(1, 6),
    )
    def poll_goes_wrong(self, on: str, kind: str, seconds: float, times: int) -> None:
        self.account.faults[on].extend([Fault(kind, seconds)] * times)

    @rule(hours=st.sampled_from([-24, -1, 1, 24]), pause=PAUSES)
    def wall_clock_is_set(self, hours: int, pause: float) -> None:
        self.loop.wall_offset += 3600.0 * hours
        self.pass_time(pause)

    def pass_time(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))
        self.check()

    # --- What must hold

    def call(self, name: str, work: Coroutine[Any, Any, Task], timeout: float, awaited: RemoteTask | None = None) -> None:
        caller = Caller(name, self.loop.create_task(work), self.loop.time() + timeout, self.loop.time(), awaited)
        self.callers.append(caller)
        caller.task.add_done_callback(lambda _: caller.end(self.loop.time()))
        self.loop.run_until_complete(asyncio.sleep(0))  # it has begun, by the clocks of this moment

    async def watch(self) -> None:
        """Look at slots and waiters once a second."""
        while True:
            await asyncio.sleep(1.0)
            now = self.loop.time()
            for caller in self.callers:
                if caller.awaited is not None and caller.ended_at is None:
                    since = max(caller.awaited.ends_at, self.account.faulty_at, caller.began_at)
                    if now - since > LONGEST_PAUSE:
                        self.idle.append(f"{caller.name} goes on at {now:.0f} s, though the task is done")
            for process in (0, 1):
                if not self.slot_is_wanted(process):
                    self.empty_since[process] = now
                since = max(self.empty_since[process], self.account.faulty_at, self.clients[process].created_at)
                if now - since > LONGEST_PAUSE:
                    self.idle.append(f"a slot is empty at {now:.0f} s, though a request of process {process} waits for it")

    def slot_is_wanted(self, process: int) -> bool:
        """Whether a slot is empty that this process waits for, and may know to be empty."""
        account = self.account
        used = account.running + account.creates_under_way
        dispatcher, limit = self.dispatchers[process], self.limits[process]
        believed = dispatcher.slots.limit
        # With tasks under way, only a probe tells that the limit is too low, and probes are rare.
        too_low = believed is not None and believed < account.slots and bool(dispatcher.slots.used or dispatcher.slots.others)
        waiting = dispatcher.slots.waiting or dispatcher.state.absence.pending
        return bool(waiting) and not too_low and not self.hides and used < min(account.slots, limit or account.slots)

    def check(self) -> None:
        assert not self.idle, self.idle
        now = self.loop.time()
        for caller in self.callers:
            ended = now if caller.ended_at is None else caller.ended_at
            assert ended <= caller.deadline + LATE, f"{caller.name}: {ended - caller.deadline:.1f} s late"
            assert caller.error is None or isinstance(caller.error, KlingError), repr(caller.error)
            assert "dispatcher has failed" not in str(caller.error)

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.loop.run_until_complete(self.end())
            self.check()
            assert all(caller.ended_at is not None for caller in self.callers)
            ids = [task.external_task_id for task in self.account.tasks if task.external_task_id]
            assert len(set(ids)) == len(ids)
        finally:
            self.loop.run_until_complete(self.close())
            self.context.__exit__(None, None, None)

    async def end(self) -> None:
        pending = [caller.task for caller in self.callers if not caller.task.done()]
        if pending:
            last = max(caller.deadline for caller in self.callers if caller.ended_at is None)
            await asyncio.wait(pending, timeout=last - self.loop.time() + LATE)

    async def close(self) -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        for dispatcher in self.dispatchers:
            await dispatcher.close()
        await asyncio.sleep(0)


def discard(_: str) -> None:
    """A log that nobody reads."""


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.hypothesis
@pytest.mark.parametrize(("steps", "worlds"), [(4, 10 * EXAMPLES), (30, EXAMPLES)], ids=["quiet", "busy"])
def test_everything_ends_in_time_and_no_slot_stays_empty(steps: int, worlds: int):
    """In a busy world much happens at once. In a quiet one nothing comes to the aid of who has no wake-up of his own."""
    run_state_machine_as_test(
        World,
        settings=settings(
            max_examples=worlds,
            stateful_step_count=steps,
            deadline=None,
            # `make test` tries the same worlds each time.
            derandomize="KLING_LIVENESS_EXAMPLES" not in os.environ and not many(),
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
            print_blob=True,
        ),
    )
