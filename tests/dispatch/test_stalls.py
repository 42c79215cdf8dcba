"""Situations in which a submission or a wait could stand still, in virtual time: what ends each of them, and how soon.

The dispatcher has no heartbeat here, so nothing is found by chance. `test_liveness` tries such situations in all mixtures.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from kling_account import Account, AccountClient, Fault
from virtual_time import VirtualLoop, virtual_time

from airflow_provider_kling.api import EFFECTS, EffectRequest, Task
from airflow_provider_kling.client import Submission
from airflow_provider_kling.client.flows import LoadRequest, Reserved
from airflow_provider_kling.dispatch import Dispatcher
from airflow_provider_kling.errors import KlingAuthError, KlingError, KlingTimeoutError

NEVER = 86_400.0


class World:
    """One process and its account."""

    def __init__(self, loop: VirtualLoop, *, max_concurrency: int | None = None, **account: Any) -> None:
        self.loop = loop
        self.account = Account(now=loop.time, chance=random.Random(1), **{"slots": 4, **account})
        self.client = AccountClient(self.account, max_concurrency)
        self.dispatcher = Dispatcher(self.client, EFFECTS, heartbeat=float("inf"))

    def create(
        self, name: str, *, timeout: float = 600.0, adopt_existing: bool = False, **options: Any
    ) -> Coroutine[Any, Any, Task]:
        request = options.pop("request", EffectRequest("squish", ["https://example.com/a.jpg"]))
        submission = Submission(request=request, external_id=name, adopt_existing=adopt_existing)
        return self.dispatcher.create(submission, deadline=self.loop.wall_time() + timeout, log=lambda _: None)

    def wait(self, any_id: str, *, timeout: float = 600.0) -> Coroutine[Any, Any, Task]:
        deadline = self.loop.wall_time() + timeout
        return self.dispatcher.wait(any_id, deadline=deadline, poll_interval=10, log=lambda _: None)

    async def seconds(self, work: Coroutine[Any, Any, Any]) -> float:
        """How long this takes until it returns or raises KlingError."""
        started = self.loop.time()
        with contextlib.suppress(KlingError):
            await work
        return self.loop.time() - started


def play(scene: Callable[[World], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Let a scene happen in a world of its own."""

    async def run(loop: VirtualLoop) -> None:
        world = World(loop, **options)
        await scene(world)
        await world.dispatcher.close()

    with virtual_time() as loop:
        loop.run_until_complete(run(loop))


@pytest.mark.parametrize(("retry_after", "longest"), [(0.0, 5.0), (3.0, 6.0), (86_400.0, 70.0)])
def test_one_request_to_slow_down_delays_a_create_by_seconds(retry_after, longest):
    async def scene(world: World) -> None:
        world.account.faults["create"].append(Fault("busy", retry_after))
        assert await world.seconds(world.create("w")) < longest
        assert len(world.account.tasks) == 1

    play(scene)


def test_a_hold_ends_in_time_although_the_request_that_met_it_has_gone():
    async def scene(world: World) -> None:
        world.account.faults["create"].append(Fault("busy", 3.0))
        first = asyncio.create_task(world.create("first"))
        await asyncio.sleep(1)
        behind = [asyncio.create_task(world.create(f"w{number}")) for number in range(2)]
        await asyncio.sleep(0.1)
        first.cancel()
        _, pending = await asyncio.wait(behind, timeout=5)
        assert not pending

    play(scene)


@pytest.mark.parametrize("adopt_existing", [True, False])
def test_slots_within_the_users_limit_are_used_soon_after_others_have_left_them(adopt_existing):
    async def scene(world: World) -> None:
        for _ in range(2):
            world.account.create(None)  # they take 5 s
        if not adopt_existing:
            world.dispatcher.slots.saw_others(2, now=world.loop.time())
        assert await world.seconds(world.create("w", adopt_existing=adopt_existing)) < 12

    play(scene, max_concurrency=2, seconds=(5.0, 5.0))


def test_two_processes_with_a_limit_both_come_to_an_end():
    async def scene(world: World) -> None:
        other = Dispatcher(AccountClient(world.account, 4), EFFECTS, heartbeat=float("inf"))
        here, there = world.dispatcher, other
        rows = []
        for number in range(48):
            world.dispatcher = (here, there)[number % 2]
            rows.append(asyncio.create_task(world.create(f"w{number}", adopt_existing=True)))
        world.dispatcher = here
        _, pending = await asyncio.wait(rows, timeout=120)
        assert not pending
        await other.close()

    play(scene, max_concurrency=4, slots=20, seconds=(2.0, 2.0))


def test_a_create_that_is_never_answered_holds_up_no_other():
    async def scene(world: World) -> None:
        world.account.faults["create"].append(Fault("late", NEVER))
        stuck = asyncio.create_task(world.seconds(world.create("stuck", timeout=100)))
        await asyncio.sleep(1)
        assert await world.seconds(world.create("w")) < 15
        assert await stuck <= 101

    play(scene)


@pytest.mark.parametrize("kind", ["list", "get"])
@pytest.mark.parametrize("waiters", [1, 20])
def test_polls_that_are_not_answered_hold_nobody_past_the_deadline(kind, waiters):
    async def scene(world: World) -> None:
        tasks = [world.account.create(None)[1]["data"]["task_id"] for _ in range(waiters)]
        world.account.faults[kind].extend([Fault("late", 8.0)] * 50)
        ends = await asyncio.gather(*(world.seconds(world.wait(any_id, timeout=1)) for any_id in tasks))
        assert max(ends) <= 2

    play(scene, slots=20, seconds=(60.0, 60.0))


def test_a_list_that_cannot_be_read_does_not_hide_who_is_done():
    async def scene(world: World) -> None:
        tasks = [world.account.create(None)[1]["data"]["task_id"] for _ in range(20)]
        world.account.faults["list"].extend([Fault("late", NEVER)] * 50)
        done = await asyncio.gather(*(world.wait(any_id, timeout=300) for any_id in tasks))
        assert all(task.succeeded for task in done)

    play(scene, slots=20)


def test_the_videos_of_a_task_whose_entry_in_the_list_leaves_them_out_are_asked_for_before_its_waiters_hear_of_it():
    async def scene(world: World) -> None:
        tasks = [world.account.create(None)[1]["data"]["task_id"] for _ in range(30)]
        done = await asyncio.gather(*(world.wait(any_id) for any_id in tasks))
        assert all(len(task.videos) == 1 for task in done)

    play(scene, slots=30, names_videos=False)


@pytest.mark.parametrize("first", ["external", "kling"])
def test_a_task_that_is_known_by_both_of_its_ids_holds_one_slot(first):
    async def scene(world: World) -> None:
        waiting = []
        if first == "external":
            world.account.create("w")
            waiting.append(asyncio.create_task(world.wait("w")))
            await asyncio.sleep(1)
        task = await world.create("w", adopt_existing=True)
        waiting += [asyncio.create_task(world.wait(any_id)) for any_id in ("w", task.kling_task_id)]
        await asyncio.sleep(1)
        assert world.dispatcher.slots.used == 1
        done = await asyncio.gather(*waiting)
        assert {each.kling_task_id for each in done} == {task.kling_task_id}
        assert all(each.succeeded for each in done)
        assert world.dispatcher.slots.used == 0

    play(scene)


@pytest.mark.parametrize("hours", [-24, -1, 1, 24])
def test_who_waits_does_not_notice_that_the_wall_clock_is_set(hours):
    async def scene(world: World) -> None:
        rows = [asyncio.create_task(world.create(f"w{number}", timeout=600)) for number in range(8)]
        await asyncio.sleep(1)
        waiting = asyncio.create_task(world.wait("w0", timeout=600))
        late = asyncio.create_task(world.seconds(world.wait("no such task of ours", timeout=3)))
        await asyncio.sleep(1)
        world.loop.wall_offset += 3600 * hours
        _, pending = await asyncio.wait([*rows, waiting], timeout=60)
        assert not pending
        assert (await waiting).succeeded
        assert await late < 5

    play(scene, seconds=(6.0, 6.0))


def test_images_that_take_long_to_load_do_not_hold_up_the_creates_of_others():
    async def scene(world: World) -> None:
        loaded = asyncio.Event()
        request = EffectRequest("squish", ["https://example.com/a.jpg"])

        async def take(step: Any, *, deadline: float | None = None) -> Any:
            if not isinstance(step, LoadRequest):
                return Reserved.HAD
            await loaded.wait()
            return step.load()

        world.client.take = take  # type: ignore[method-assign]
        slow = asyncio.create_task(world.create("slow", request=lambda: request))
        await asyncio.sleep(1)
        assert await world.seconds(world.create("w")) < 10
        loaded.set()
        assert (await slow).kling_task_id == world.account.tasks[1].kling_task_id

    play(scene)


def test_a_key_that_is_refused_ends_the_queue_and_nothing_is_granted_to_who_has_left_it():
    async def scene(world: World) -> None:
        holder = await world.create("holder")
        queued = [asyncio.create_task(world.create(f"w{number}")) for number in range(3)]
        await asyncio.sleep(2)
        world.dispatcher.state.end_all(KlingAuthError("Authorization is invalid", code=1002))
        world.dispatcher.state.observe(Task(kling_task_id=holder.kling_task_id, status="failed"), world.loop.time())
        world.dispatcher.changed()
        outcomes = await asyncio.gather(*queued, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [KlingAuthError] * 3
        assert world.dispatcher.slots.waiting == 0

    play(scene, slots=1, seconds=(600.0, 600.0))


def test_a_submission_whose_time_is_over_creates_nothing():
    async def scene(world: World) -> None:
        with pytest.raises(KlingTimeoutError, match="Nothing was made"):
            await world.create("w", timeout=-5)
        assert not world.account.tasks

    play(scene)
