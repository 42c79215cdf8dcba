"""The trigger that finds ended tasks, against the emulator, with a state store as Airflow 3.3 hands it one."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hook_calls import REQUEST

from airflow_provider_kling.callbacks import heard_key, slot_of
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.triggers import KlingFinishedTasksTrigger


class StateStore(dict):
    """What Airflow's accessor of one asset offers."""

    def __init__(self, **values):
        super().__init__(values)
        self.changed = asyncio.Event()

    def __getitem__(self, asset):
        raise KeyError(asset)

    async def aget(self, key, default=None):
        return self.get(key, default)

    async def aset(self, key, value):
        assert value is not None
        self.update({key: value})

        self.changed.set()

    async def adelete(self, key):
        self.pop(key, None)

    async def written(self, start):
        """Waits until a key that begins like this is in the store."""
        while not any(key.startswith(start) for key in self):
            self.changed.clear()
            await self.changed.wait()


class Watching:
    """A trigger that runs until the block ends. `fired` waits for its next event."""

    def __init__(self, store=None, **kwargs):
        self.trigger = KlingFinishedTasksTrigger(**{"interval": 0.05, **kwargs})
        self.trigger.asset_state_store = store
        self.events = self.trigger.run()

    async def fired(self):
        return (await asyncio.wait_for(anext(self.events), 60)).payload

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.events.aclose()


@pytest.fixture
def ended(kling):
    """Makes a task that has ended, and returns it."""

    def make(external_id):
        with KlingHook() as hook:
            task = hook.create_task(REQUEST, external_task_id=external_id)
            return hook.wait_for_task(task.kling_task_id, poll_interval=0.05)

    return make


@pytest.mark.kling_emulator(duration=0.1)
async def test_it_fires_for_each_end_also_of_other_programs_tasks(ended):
    store = StateStore()
    async with Watching(store) as watching:
        waiting = asyncio.create_task(watching.fired())
        await store.written("swept")
        task = await asyncio.to_thread(ended, "of-another-program")
        assert await waiting == {
            "kling_conn_id": "kling_default",
            "kling_task_id": task.kling_task_id,
            "external_task_id": "of-another-program",
            "status": "succeed",
            "message": task.message,
            "units": task.units,
            "updated_at": task.updated_at.isoformat(),
            "heard_by": "sweep",
        }
        following = asyncio.create_task(watching.fired())
        second = await asyncio.to_thread(ended, "another")
        assert (await following)["kling_task_id"] == second.kling_task_id


@pytest.mark.kling_emulator(duration=0.1)
async def test_a_restart_goes_on_where_it_stopped(ended):
    store = StateStore(swept="2026-01-01T00:00:00+00:00")
    first = await asyncio.to_thread(ended, "first")
    async with Watching(store) as watching:
        assert (await watching.fired())["kling_task_id"] == first.kling_task_id
        again = asyncio.create_task(watching.fired())  # what was fired is stored only then
        await store.written("swept-")
        again.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await again
    missed = await asyncio.to_thread(ended, "missed")
    async with Watching(store) as watching:
        assert (await watching.fired())["kling_task_id"] == missed.kling_task_id


@pytest.mark.kling_emulator(duration=0.1)
async def test_what_a_callback_has_reported_is_left_out(ended):
    store = StateStore(swept="2026-01-01T00:00:00+00:00")
    heard = await asyncio.to_thread(ended, "heard")
    lost = await asyncio.to_thread(ended, "lost")
    store[heard_key(slot_of(heard.updated_at))] = [heard.kling_task_id]
    async with Watching(store) as watching:
        assert (await watching.fired())["kling_task_id"] == lost.kling_task_id


@pytest.mark.kling_emulator(duration=0.1)
async def test_without_a_state_store_it_begins_a_quarter_of_an_hour_ago(ended):
    task = await asyncio.to_thread(ended, "before")
    async with Watching() as watching:
        assert (await watching.fired())["kling_task_id"] == task.kling_task_id


@pytest.mark.kling_emulator(duration=0.1)
async def test_while_kling_cannot_be_asked_it_goes_on_trying(ended, kling):
    task = await asyncio.to_thread(ended, "task")
    kling.fault(1000, times=1)
    async with Watching() as watching:
        assert (await watching.fired())["kling_task_id"] == task.kling_task_id


def test_its_row_names_the_public_path():
    trigger = KlingFinishedTasksTrigger(kling_conn_id="other", interval=30)
    path, kwargs = trigger.serialize()
    assert path == "airflow_provider_kling.triggers.KlingFinishedTasksTrigger"
    assert kwargs == {"kling_conn_id": "other", "interval": 30, "grace": None}
    assert KlingFinishedTasksTrigger(**kwargs).serialize() == (path, kwargs)
