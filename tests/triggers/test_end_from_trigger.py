"""Tasks that the triggerer ends itself, and those that a worker ends although `end_from_trigger` is set."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace

import pytest
from airflow.listeners import hookimpl
from airflow.sdk import DAG, Asset, BaseOperator
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent
from task_runs import FakeAirflow

from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.operators import KlingEffectOperator
from airflow_provider_kling.outcomes import task_of
from airflow_provider_kling.sensors import KlingTaskSensor
from airflow_provider_kling.triggers import KlingEffectTrigger, KlingTaskTrigger

URL = "https://example.com/portrait.jpg"
TASK_INSTANCE = {"dag_id": "d", "run_id": "r", "task_id": "video", "map_index": 3}

pytestmark = pytest.mark.skipif(not hasattr(XCom, "aset"), reason="before Airflow 3.3 a worker ends every task")


@pytest.fixture
def airflow():
    return FakeAirflow()


class Supervisor:
    """The supervisor of a triggerer: it stores the XComs of triggers, except those under the keys that it refuses."""

    def __init__(self) -> None:
        self.xcoms: dict[str, object] = {}
        self.refuses: set[str] = set()

    def send(self, message):
        if message.key in self.refuses:
            raise RuntimeError("the database is unavailable")
        assert {name: getattr(message, name) for name in TASK_INSTANCE} == TASK_INSTANCE
        self.xcoms[message.key] = message.value


@pytest.fixture
def supervisor(monkeypatch):
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor


def fire(trigger) -> TriggerEvent:
    """Run a trigger as in a triggerer, and return its only event."""
    trigger.task_instance = SimpleNamespace(**TASK_INSTANCE)

    async def events():
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(events())
    return event


def row(**more):
    """The arguments that all triggers for one task share."""
    times = {"deadline": time.time() + 60, "poll_interval": 0.05, "not_before": 0.0}
    return {"kling_conn_id": "kling_default", "end_from_trigger": True, "row_id": "anna", **times, **more}


def effect_trigger(**more) -> KlingEffectTrigger:
    submission = {
        "effect_scene": "squish",
        "images": [URL],
        "external_id": "submission",
        "callback_url": None,
        "wait_for_completion": True,
    }
    return KlingEffectTrigger(**row(**{**submission, **more}))


# --- In the triggerer


def test_a_success_ends_in_the_triggerer_with_the_xcoms_of_a_worker(airflow, kling, supervisor, tmp_path):
    event = fire(effect_trigger(save_to=str(tmp_path)))
    assert isinstance(event, TaskSuccessEvent)
    link = event.xcoms.pop("_link_KlingVideoLink")
    assert link.endswith("/plugin/kling-task-videos")
    assert not event.xcoms  # Airflow would store others as texts
    (paid,) = kling.ledger
    result = supervisor.xcoms["return_value"]
    assert (tmp_path / f"anna-{paid['kling_task_id']}.mp4").stat().st_size > 0
    assert supervisor.xcoms["kling_task"]["kling_task_id"] == paid["kling_task_id"]

    with DAG("d", schedule=None):
        by_worker = KlingTaskSensor(task_id="w", kling_task_id=paid["kling_task_id"], save_to=str(tmp_path), row_id="anna")
    airflow.finish(by_worker)
    assert result == {**airflow.result, "effect_scene": "squish"}  # which Kling's responses do not contain


def test_the_triggerer_saves_under_the_names_that_the_worker_asked_for(kling, supervisor, tmp_path):
    asked = {
        "file_name": "{date}/{title}.mp4",
        "fields": {"date": "2026-01-01", "title": "a/b"},
        "watermark": True,
        "sidecar": True,
    }
    assert isinstance(fire(effect_trigger(save_to=str(tmp_path), save_as=asked)), TaskSuccessEvent)
    result = supervisor.xcoms["return_value"]
    folder = tmp_path / "2026-01-01"
    assert sorted(path.name for path in folder.iterdir()) == ["a_b-watermark.mp4", "a_b.mp4", "a_b.mp4.json"]
    (video,) = result["videos"]
    assert (video["path"], video["watermark_path"]) == (str(folder / "a_b.mp4"), str(folder / "a_b-watermark.mp4"))
    assert json.loads((folder / "a_b.mp4.json").read_text()) == result


def test_an_operator_that_only_creates_ends_in_the_triggerer_after_the_create(kling, supervisor):
    assert isinstance(fire(effect_trigger(wait_for_completion=False)), TaskSuccessEvent)
    assert supervisor.xcoms["return_value"] == kling.ledger[0]["kling_task_id"]


def test_a_sensor_ends_in_the_triggerer_too(kling, supervisor, tmp_path):
    with KlingHook() as hook:
        task = hook.create_task(EffectRequest("squish", [URL]))
    assert isinstance(fire(KlingTaskTrigger(**row(kling_task_id=task.kling_task_id, save_to=str(tmp_path)))), TaskSuccessEvent)
    assert supervisor.xcoms["return_value"]["videos"][0]["path"].startswith(str(tmp_path))


def test_a_failed_task_goes_to_a_worker_which_reports_it(kling, supervisor):
    kling.fail_next()
    event = fire(effect_trigger())
    assert not isinstance(event, TaskSuccessEvent)
    assert task_of(event.payload).failed
    assert set(supervisor.xcoms) == {"kling_task"}


def test_a_worker_saves_a_video_that_the_triggerer_cannot_save(kling, supervisor, tmp_path):
    (tmp_path / "in_the_way").write_text("a file where a folder is expected")
    event = fire(effect_trigger(save_to=str(tmp_path / "in_the_way")))
    assert task_of(event.payload).succeeded
    assert "return_value" not in supervisor.xcoms


@pytest.mark.parametrize("key", ["return_value", "kling_task"])
def test_a_worker_writes_xcoms_that_the_triggerer_cannot_write(kling, supervisor, key):
    supervisor.refuses.add(key)
    payload = fire(effect_trigger()).payload
    assert task_of(payload).succeeded
    assert payload["recorded"] is (key != "kling_task")  # what is written, no worker writes again
    assert len(kling.ledger) == 1


def test_an_xcom_backend_may_start_an_event_loop_of_its_own(kling, supervisor, monkeypatch):
    """As that of an object store does: its file system calls `asyncio.run`, which fails in a running loop."""

    def serialize_value(value, **of_what):
        asyncio.run(asyncio.sleep(0))
        return value

    monkeypatch.setattr(XCom, "serialize_value", staticmethod(serialize_value))
    assert isinstance(fire(effect_trigger()), TaskSuccessEvent)
    assert supervisor.xcoms["return_value"]["status"] == "succeed"


def test_a_row_without_it_goes_to_a_worker(kling, supervisor):
    assert task_of(fire(effect_trigger(end_from_trigger=False)).payload).succeeded
    assert set(supervisor.xcoms) == {"kling_task"}


# --- On the worker that defers


def operator(**kwargs) -> KlingEffectOperator:
    defaults = {"effect_scene": "squish", "image": URL, "deferrable": True, "wait_for_completion": True, "end_from_trigger": True}
    with DAG("d", schedule=None):
        return KlingEffectOperator(task_id="video", **{**defaults, **kwargs})


def test_the_row_holds_what_the_triggerer_needs_to_end_the_task(airflow, kling, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__SHARED_FOLDERS", str(tmp_path))
    _, kwargs = airflow.run(operator(save_to=f"{tmp_path}/videos", row_id="anna")).trigger
    assert kwargs["end_from_trigger"] is True
    assert (kwargs["save_to"], kwargs["row_id"], kwargs["effect_scene"]) == (f"{tmp_path}/videos", "anna", "squish")


def test_by_default_the_triggerer_ends_what_it_can(airflow, kling):
    """And the attribute is false: Airflow refuses a DAG with a true one where a plugin has listeners."""
    task = operator(end_from_trigger="auto")
    assert not task.end_from_trigger
    assert airflow.run(task).trigger[1]["end_from_trigger"] is True
    with DAG("d", schedule=None):
        plain = KlingTaskSensor(task_id="wait", kling_task_id="1", deferrable=True)
    assert not plain.end_from_trigger
    assert airflow.run(plain).trigger[1]["end_from_trigger"] is True


def test_false_is_always_a_worker(airflow, kling, capfd):
    assert airflow.run(operator(end_from_trigger=False)).trigger[1]["end_from_trigger"] is False
    assert "worker ends" not in capfd.readouterr().out


@pytest.mark.parametrize("make", [KlingEffectOperator, KlingTaskSensor])
@pytest.mark.parametrize(
    ("value", "deferrable", "wanted"), [("yes", True, "wanted is True, False or 'auto'"), (True, False, "needs deferrable=True")]
)
def test_other_values_are_refused_when_the_dag_is_parsed(make, value, deferrable, wanted):
    what = {"kling_task_id": "1"} if make is KlingTaskSensor else {"effect_scene": "squish", "image": URL}
    with DAG("d", schedule=None), pytest.raises(KlingInputError, match=wanted):
        make(task_id="t", end_from_trigger=value, deferrable=deferrable, **what)


class Listener:
    @hookimpl
    def on_task_instance_success(self):
        """What OpenLineage does."""


def test_listeners_get_their_worker_and_airflow_takes_the_dag(airflow, kling, capfd):
    """Airflow refuses `end_from_trigger=True` where a plugin listens; an author who has set nothing does not meet that."""
    from airflow.dag_processing import dagbag
    from airflow.sdk.listener import get_listener_manager

    listener, managers = Listener(), (get_listener_manager(), dagbag.get_listener_manager())
    for manager in managers:
        manager.pm.register(listener)
    try:
        task = operator(end_from_trigger="auto")
        dagbag.DagBag(collect_dags=False).bag_dag(task.dag)
        assert airflow.run(task).trigger[1]["end_from_trigger"] is False
    finally:
        for manager in managers:
            manager.pm.unregister(listener)
    assert "A worker ends this task, not the triggerer: a plugin listens for the success" in capfd.readouterr().out


class OwnComplete(KlingEffectOperator):
    def execute_complete(self, context, event=None):
        return {**super().execute_complete(context, event), "mine": 1}


class OwnPost(KlingEffectOperator):
    def post_execute(self, context, result=None):
        """Anything."""


@pytest.mark.parametrize(("kind", "method"), [(OwnComplete, "execute_complete"), (OwnPost, "post_execute")])
def test_methods_of_a_subclass_get_their_worker(airflow, kling, capfd, kind, method):
    arguments = {"effect_scene": "squish", "image": URL, "deferrable": True, "wait_for_completion": True}
    with DAG("d", schedule=None):
        task = kind(task_id="video", **arguments)
    assert airflow.run(task).trigger[1]["end_from_trigger"] is False
    assert f"only a worker calls {method}, and {kind.__name__} has its own" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"post_execute": lambda context, result=None: None}, "post_execute"),
        ({"outlets": [Asset("s3://bucket/video")]}, "outlets"),
        ({"on_success_callback": print}, "on_success_callback"),
        ({"do_xcom_push": False}, "do_xcom_push"),
        ({"save_to": "/videos"}, "save_to '/videos' may be another folder for the triggerer"),
    ],
    ids=["post_execute", "outlets", "callback", "no XCom", "folder"],
)
def test_a_task_that_needs_a_worker_is_left_to_it_and_the_reason_is_logged(airflow, kling, capfd, arguments, reason):
    _, kwargs = airflow.run(operator(**arguments)).trigger
    assert kwargs["end_from_trigger"] is False
    logged = capfd.readouterr().out
    assert "end_from_trigger is set, but a worker ends this task: " in logged
    assert reason in logged


@pytest.mark.parametrize("value", [True, "auto"])
def test_a_mapped_task_says_the_reason_in_its_first_log_alone(kling, capfd, value):
    said = []
    for map_index in range(3):
        assert FakeAirflow(map_index=map_index).run(operator(end_from_trigger=value, save_to="/videos")).state == "deferred"
        said.append("worker ends this task" in capfd.readouterr().out)
    assert said == [True, False, False]


def test_a_task_whose_result_is_mapped_over_is_left_to_a_worker(airflow, kling, capfd):
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


def test_under_dag_test_a_worker_ends_the_task(airflow, kling):
    assert airflow.finish(operator(poll_interval=0.05)).state == "success"
    assert airflow.result["status"] == "succeed"
