"""A trigger starts again: its triggerer was restarted, or another one has taken it over. The try is the same."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest
from hostile import reset, status

from airflow_provider_kling.triggers import KlingEffectTrigger

DERIVED = f"airflow-{'0123456789' * 4}"

pytestmark = pytest.mark.usefixtures("polled_early")


def start(*, try_number: int | None = None, **kwargs) -> dict:
    """Run a trigger until its event."""
    row = {
        "effect_scene": "squish",
        "images": ["https://example.com/a.jpg"],
        "external_id": DERIVED,
        "callback_url": None,
        "wait_for_completion": True,
        "kling_conn_id": "kling_default",
        "deadline": time.time() + 60,
        "poll_interval": 0.1,
        "not_before": 0.0,
    }
    trigger = KlingEffectTrigger(**{**row, **kwargs})
    if try_number:
        ids = {"dag_id": "d", "run_id": "r", "task_id": "video", "map_index": -1}
        trigger.task_instance = SimpleNamespace(**ids, try_number=try_number)

    async def events() -> list[dict]:
        return [event.payload async for event in trigger.run()]

    (event,) = asyncio.run(events())
    return event


@pytest.mark.parametrize("reason", ["Image pixel is invalid", "Try later"])
def test_a_failed_task_is_asked_for_again_only_by_a_further_try(hostile, reason):
    hostile.fails = reason
    for _ in range(4):
        assert start(version=4, tries=1)["task"]["task_status"] == "failed"
    assert [made.external_id for made in hostile.ledger] == [DERIVED]
    hostile.fails = ""
    for _ in range(2):
        assert start(version=4, tries=2)["task"]["task_status"] == "succeed"
    assert [made.external_id for made in hostile.ledger] == [DERIVED, f"{DERIVED}-2"]


def test_a_row_of_an_older_version_goes_by_the_try_of_its_task_instance(hostile):
    hostile.fails = "Try later"
    start(version=3)
    hostile.fails = ""
    for _ in range(2):
        assert start(version=3, try_number=2)["task"]["task_status"] == "succeed"
    assert len(hostile.ledger) == 2


@pytest.mark.parametrize("answer", [reset, status(500, code=5000, message="oops"), status(200)], ids=["reset", "500", "HTML"])
def test_a_task_that_exists_and_is_not_shown_for_a_while_is_waited_for(hostile, answer):
    hostile.lookup_lag = hostile.list_lag = 4.0
    hostile.answer("create", answer, times=1, after=True)
    assert start(version=4, tries=1)["task"]["task_status"] == "succeed"
    assert len(hostile.ledger) == 1


def test_a_task_that_exists_and_is_never_shown_is_reported_at_the_deadline(hostile):
    hostile.lookup_lag = hostile.list_lag = 3600.0
    hostile.answer("create", reset, times=1, after=True)
    event = start(version=4, tries=1, deadline=time.time() + 8)
    assert f"Kling says that a task with external id {DERIVED} exists, but does not show it" in event["timeout"]
    assert "othing was" not in event["timeout"]
    assert len(hostile.ledger) == 1
