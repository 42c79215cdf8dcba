"""Tasks that the triggerer ends itself, and those that it leaves to a worker though it was asked to."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, Asset, BaseOperator
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent
from task_runs import FakeAirflow

from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.operators import KlingEffectOperator
from airflow_provider_kling.outcomes import task_of
from airflow_provider_kling.sensors import KlingTaskSensor
from airflow_provider_kling.triggers import KlingEffectTrigger, KlingTaskTrigger

URL = "https://example.com/portrait.jpg"
PLACE = {"dag_id": "d", "run_id": "r", "task_id": "video", "map_index": 3}

pytestmark = pytest.mark.skipif(not hasattr(XCom, "aset"), reason="before Airflow 3.3 a worker ends every task")


@pytest.fixture
def airflow():
    return FakeAirflow()


class Supervisor:
    """What a triggerer's triggers talk to: it keeps XComs, but for those under keys that it refuses."""

    def __init__(self) -> None:
        self.xcoms: dict[str, object] = {}
        self.refuses: set[str] = set()

    async def asend(self, message):
        if message.key in self.refuses:
            raise RuntimeError("the database is away")
        assert {name: getattr(message, name) for name in PLACE} == PLACE
        self.xcoms[message.key] = message.value


@pytest.fixture
def supervisor(monkeypatch):
    one = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", one, raising=False)
    return one


def fired(trigger) -> TriggerEvent:
    """The one event of a trigger that runs in a triggerer."""
    trigger.task_instance = SimpleNamespace(**PLACE)

    async def events():
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(events())
    return event


def row(**more):
    times = {"deadline": time.time() + 60, "poll_interval": 0.05, "not_before": 0.0}
    return {"kling_conn_id": "kling_default", "end_from_trigger": True, "row_id": "anna", **times, **more}


def effect(**more) -> KlingEffectTrigger:
    submission = {
        "effect_scene": "squish",
        "images": [URL],
        "external_id": "submission",
        "callback_url": None,
        "wait_for_completion": True,
    }
    return KlingEffectTrigger(**row(**{**submission, **more}))


# --- In the triggerer


def test_a_success_ends_there_with_all_that_a_worker_leaves(airflow, kling, supervisor, tmp_path):
    event = fired(effect(save_to=str(tmp_path)))
    assert isinstance(event, TaskSuccessEvent)
    assert not event.xcoms  # Airflow would write them as texts
    (paid,) = kling.ledger
    result = supervisor.xcoms["return_value"]
    assert (tmp_path / f"{paid['kling_task_id']}.mp4").stat().st_size > 0
    assert supervisor.xcoms["_link_KlingVideoLink"] == result["videos"][0]["url"]
    assert supervisor.xcoms["kling_task"]["kling_task_id"] == paid["kling_task_id"]

    with DAG("d", schedule=None):
        by_worker = KlingTaskSensor(task_id="w", kling_task_id=paid["kling_task_id"], save_to=str(tmp_path), row_id="anna")
    airflow.finish(by_worker)
    assert result == {**airflow.result, "effect_scene": "squish"}  # which Kling's answers do not name


def test_a_created_task_is_all_that_a_create_only_operator_waits_for(kling, supervisor):
    assert isinstance(fired(effect(wait_for_completion=False)), TaskSuccessEvent)
    assert supervisor.xcoms["return_value"] == kling.ledger[0]["kling_task_id"]


def test_a_sensor_ends_there_too(kling, supervisor, tmp_path):
    with KlingHook() as hook:
        task = hook.create_task(EffectRequest("squish", [URL]))
    assert isinstance(fired(KlingTaskTrigger(**row(kling_task_id=task.kling_task_id, save_to=str(tmp_path)))), TaskSuccessEvent)
    assert supervisor.xcoms["return_value"]["videos"][0]["path"].startswith(str(tmp_path))


def test_a_failed_task_goes_to_a_worker_which_has_a_word_for_it(kling, supervisor):
    kling.fail_next()
    event = fired(effect())
    assert not isinstance(event, TaskSuccessEvent)
    assert task_of(event.payload).failed
    assert set(supervisor.xcoms) == {"kling_task"}


def test_a_video_that_cannot_be_saved_there_is_saved_by_a_worker(kling, supervisor, tmp_path):
    (tmp_path / "in_the_way").write_text("a file, where a folder is to be")
    event = fired(effect(save_to=str(tmp_path / "in_the_way")))
    assert task_of(event.payload).succeeded
    assert "return_value" not in supervisor.xcoms


@pytest.mark.parametrize("key", ["return_value", "_link_KlingVideoLink", "kling_task"])
def test_xcoms_that_cannot_be_written_there_are_written_by_a_worker(kling, supervisor, key):
    supervisor.refuses.add(key)
    assert task_of(fired(effect()).payload).succeeded
    assert len(kling.ledger) == 1


def test_it_is_not_the_default(kling, supervisor):
    assert task_of(fired(effect(end_from_trigger=False)).payload).succeeded
    assert set(supervisor.xcoms) == {"kling_task"}


# --- On the worker that defers


def operator(**kwargs) -> KlingEffectOperator:
    given = {"effect_scene": "squish", "image": URL, "deferrable": True, "wait_for_completion": True, "end_from_trigger": True}
    with DAG("d", schedule=None):
        return KlingEffectOperator(task_id="video", **{**given, **kwargs})


def test_the_row_says_what_the_triggerer_is_to_do(airflow, kling, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__SHARED_FOLDERS", str(tmp_path))
    _, kwargs = airflow.run(operator(save_to=f"{tmp_path}/videos", row_id="anna")).trigger
    assert kwargs["end_from_trigger"] is True
    assert (kwargs["save_to"], kwargs["row_id"], kwargs["effect_scene"]) == (f"{tmp_path}/videos", "anna", "squish")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"outlets": [Asset("s3://bucket/video")]}, "outlets"),
        ({"on_success_callback": print}, "on_success_callback"),
        ({"do_xcom_push": False}, "do_xcom_push"),
        ({"save_to": "/videos"}, "save_to '/videos' may be another folder for the triggerer"),
    ],
    ids=["outlets", "callback", "no XCom", "folder"],
)
def test_what_only_a_worker_can_do_is_left_to_a_worker_and_said(airflow, kling, capfd, given, reason):
    _, kwargs = airflow.run(operator(**given)).trigger
    assert kwargs["end_from_trigger"] is False
    told = capfd.readouterr().out
    assert "end_from_trigger is set, but a worker ends this task: " in told
    assert reason in told


def test_a_result_that_others_map_over_is_left_to_a_worker(airflow, kling, capfd):
    class Each(BaseOperator):
        def __init__(self, *, part, **kwargs):
            super().__init__(**kwargs)

    with DAG("d", schedule=None):
        video = KlingEffectOperator(
            task_id="video", effect_scene="squish", image=URL, deferrable=True, wait_for_completion=True, end_from_trigger=True
        )
        Each.partial(task_id="each").expand(part=video.output)
    assert airflow.run(video).trigger[1]["end_from_trigger"] is False
    assert "mapped over" in capfd.readouterr().out


def test_under_dag_test_a_worker_ends_it(airflow, kling):
    assert airflow.finish(operator(poll_interval=0.05)).state == "success"
    assert airflow.result["status"] == "succeed"
