"""Triggers on their own: when the event is fired, and what a second start does."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

from task_runs import URL

from airflow_provider_kling.triggers import KlingEffectTrigger, KlingTaskTrigger


def kwargs(**more):
    """The arguments of a trigger."""
    return {"kling_conn_id": "kling_default", "deadline": time.time() + 60, "poll_interval": 0.05, "not_before": 0.0, **more}


def test_in_a_triggerer_the_event_is_held_back_until_not_before(kling):
    trigger = KlingTaskTrigger(**kwargs(kling_task_id="1", not_before=4e9))
    assert trigger.held_until == 0.0  # under dag.test() the event is not held back
    trigger.task_instance = SimpleNamespace(task_id="video")
    assert trigger.held_until == 4e9


def test_a_trigger_that_starts_again_adopts_its_task(kling):
    row = kwargs(effect_scene="squish", images=[URL], external_id="submission", callback_url=None, wait_for_completion=True)
    events = []
    for _ in range(2):
        trigger = KlingEffectTrigger(**row)

        async def run(trigger=trigger):
            return [event.payload async for event in trigger.run()]

        events += asyncio.run(run())
    assert [event["task"]["task_status"] for event in events] == ["succeed", "succeed"]
    assert len(kling.ledger) == 1
    assert len(kling.requests("create")) == 1  # the lookup found the task; Kling did not have to refuse the id
