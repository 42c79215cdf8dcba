"""The dispatcher over HTTP, against an account that shares nothing with the package (`hostile.py`)."""

from __future__ import annotations

import asyncio
import time

import pytest
from hostile import HostileKling, status, trickle

from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.client import Submission
from airflow_provider_kling.errors import KlingTimeoutError
from airflow_provider_kling.hooks import KlingHook

SOON = 30.0  # seconds: where something hangs, it does so for minutes


@pytest.fixture
def hostile(monkeypatch):
    with HostileKling() as kling:
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection(timeout=10))
        yield kling


def discard(_: str) -> None:
    """A log that nobody reads."""


def submission(name: str, *, adopt_existing: bool = False) -> Submission:
    request = EffectRequest("squish", [f"https://example.com/{name}.jpg"])
    return Submission(request=request, external_id=name, adopt_existing=adopt_existing)


async def create(account, name: str, *, adopt_existing: bool = False, timeout: float = 300):
    wanted = submission(name, adopt_existing=adopt_existing)
    return await account.create(wanted, deadline=time.time() + timeout, log=discard)


async def within(seconds: float, work):
    """What this brings; a failure if it takes longer."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait([task], timeout=seconds)
    task.cancel()
    assert done, f"it goes on after {seconds:.0f} s"
    return task.result()


async def test_one_request_to_slow_down_does_not_stop_the_account(hostile):
    hostile.answer("create", status(429, 1302, "Too many requests"), times=1)
    async with KlingHook.dispatched() as account:
        await within(SOON, create(account, "w"))
    assert hostile.count("create") == 2


async def test_a_process_without_tasks_notices_that_others_have_left_the_users_limit(hostile, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", hostile.connection(timeout=10, max_concurrency=2))
    hostile.seconds = 3
    async with KlingHook() as hook:
        for number in range(2):
            await hook.acreate_task(submission(f"other{number}").request, external_task_id=f"other{number}")
    async with KlingHook.dispatched() as account:
        await within(SOON, asyncio.gather(*(create(account, f"w{number}", adopt_existing=True) for number in range(3))))
    assert len(hostile.ledger) == 5


@pytest.mark.parametrize("waiters", [1, 20])
async def test_an_answer_that_trickles_holds_nobody_past_the_deadline(hostile, waiters):
    hostile.seconds = 300
    async with KlingHook.dispatched() as account:
        tasks = await asyncio.gather(*(create(account, f"w{number}") for number in range(waiters)))
        for kind in ("get", "list"):
            hostile.answer(kind, trickle(1.0))
        deadline = time.time() + 1
        waits = [account.wait(task.kling_task_id, deadline=deadline, poll_interval=1, log=discard) for task in tasks]
        ended = await within(SOON, asyncio.gather(*waits, return_exceptions=True))
    assert [type(error) for error in ended] == [KlingTimeoutError] * waiters


@pytest.mark.parametrize("order", ["newest", "oldest", "random"])
async def test_a_list_that_is_capped_proves_no_absence(hostile, order):
    hostile.page_cap, hostile.order = 10, order
    async with KlingHook() as hook:
        for number in range(15):
            await hook.acreate_task(submission(f"w{number}").request, external_task_id=f"w{number}")
    async with KlingHook.dispatched() as account:
        tasks = await within(SOON, asyncio.gather(*(create(account, f"w{number}", adopt_existing=True) for number in range(15))))
    assert sorted(task.kling_task_id for task in tasks) == sorted(made.task_id for made in hostile.ledger)
    assert hostile.count("create") == 15
    assert hostile.paid_twice() == []


async def test_videos_that_a_list_leaves_out_are_asked_for(hostile):
    hostile.omit_results, hostile.seconds = True, 1
    async with KlingHook.dispatched() as account:
        tasks = await asyncio.gather(*(create(account, f"w{number}") for number in range(30)))
        waits = [account.wait(task.kling_task_id, deadline=time.time() + 60, poll_interval=1, log=discard) for task in tasks]
        done = await within(SOON, asyncio.gather(*waits))
    assert all(len(task.videos) == 1 for task in done)
