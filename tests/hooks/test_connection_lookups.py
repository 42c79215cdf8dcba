"""A connection that Airflow does not find for a while: it says so of an undefined one, and of its own outage."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.sdk import DAG, Connection
from task_runs import FakeAirflow, fire
from virtual_time import virtual_time

from airflow_provider_kling.errors import KlingSettingsError
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.operators import KlingEffectOperator

KEYS = Connection(conn_id="there", conn_type="kling", login="a", password="b" * 32)


def outage(misses: int) -> type[KlingHook]:
    """A hook in an Airflow that finds no connection so many times."""

    class Shaky(KlingHook):
        lookups = 0

        @classmethod
        async def aget_connection(cls, conn_id: str) -> Connection:
            cls.lookups += 1
            if cls.lookups <= misses:
                raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")
            return KEYS

    return Shaky


async def use(hook: type[KlingHook]) -> None:
    async with hook.dispatched("there"):
        pass


@pytest.mark.parametrize("misses", [1, 8])
def test_an_outage_of_some_minutes_is_waited_for(misses, capfd):
    hook = outage(misses)
    with virtual_time() as loop:
        loop.run_until_complete(use(hook))
    assert hook.lookups == misses + 1
    assert "looking again in 1 s" in capfd.readouterr().out


def test_all_who_wait_share_one_attempt_and_its_error():
    hook = outage(1_000)

    async def many() -> list[BaseException | None]:
        return await asyncio.gather(*(use(hook) for _ in range(50)), return_exceptions=True)

    with virtual_time() as loop:
        ends = loop.run_until_complete(many())
        assert 200 < loop.time() <= 300
    assert hook.lookups < 20
    assert all(isinstance(end, KlingSettingsError) and end.may_pass for end in ends)


def test_who_comes_after_a_failed_attempt_makes_one_of_its_own():
    hook = outage(14)

    async def twice() -> None:
        async with AsyncExitStack() as stack:
            with pytest.raises(KlingSettingsError):
                await use(hook)
            await stack.enter_async_context(hook.dispatched("there"))
            await use(hook)  # shares that one

    with virtual_time() as loop:
        loop.run_until_complete(twice())
    assert hook.lookups == 15


def test_the_first_to_come_may_leave_while_others_wait():
    hook = outage(5)

    async def one_leaves() -> None:
        first = asyncio.ensure_future(use(hook))
        second = asyncio.ensure_future(use(hook))
        await asyncio.sleep(2)
        first.cancel()
        await second
        assert first.cancelled()

    with virtual_time() as loop:
        loop.run_until_complete(one_leaves())
    assert hook.lookups == 6


def test_the_last_to_leave_ends_the_attempt():
    hook = outage(1_000)

    async def leave() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(use(hook), 2.5)
        lookups = hook.lookups
        await asyncio.sleep(1_000)
        assert hook.lookups == lookups

    with virtual_time() as loop:
        loop.run_until_complete(leave())


async def test_callers_at_the_same_time_share_one_lookup():
    hook = outage(0)("there")
    settings = await asyncio.gather(*(hook.asettings() for _ in range(20)))
    assert len({id(each) for each in settings}) == 1
    assert type(hook).lookups == 1


@pytest.mark.kling_emulator(slots=10, duration=0, videos="clip")
def test_a_row_that_is_paid_for_uses_a_retry_when_its_connection_is_not_found(kling, monkeypatch, tmp_path):
    with DAG("d", schedule=None):
        video = KlingEffectOperator(
            task_id="video",
            effect_scene="squish",
            image="https://example.com/a.jpg",
            wait_for_completion=True,
            deferrable=True,
            save_to=str(tmp_path),
        )
    airflow = FakeAirflow(max_tries=2)
    event = fire(airflow.run(video))
    monkeypatch.delenv("AIRFLOW_CONN_KLING_DEFAULT")
    run = airflow.run(video, event=event)
    assert run.state == "up_for_retry"
    assert airflow.xcoms["failed_result"]["kling_task_id"] == kling.ledger[0]["kling_task_id"]
