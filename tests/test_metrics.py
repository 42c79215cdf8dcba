"""The metrics as they arrive at a statsd server: each event once, whatever way it takes, and none of them costs anything."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import TaskSuccessEvent
from places import ROOT
from statsd_listener import airflow_metrics, listening, settings_of
from task_runs import URL, FakeAirflow, fire, operator

from airflow_provider_kling.dispatch import schedule
from airflow_provider_kling.hooks import AirflowSink, KlingHook
from airflow_provider_kling.metrics import CREATED, METRICS, SECONDS_AT_KLING, UNITS
from airflow_provider_kling.operators import KlingEffectBatchOperator
from airflow_provider_kling.sensors import KlingTaskSensor

ONE = {"created": 1, "done": 1, "units": 2.5}


@pytest.fixture(autouse=True)
def quick(monkeypatch, kling):
    monkeypatch.setattr(schedule, "FIRST_POLL", 0.1)
    kling.configure(videos="clip", duration=0.3, jitter=0)
    return kling


@pytest.fixture
def statsd():
    """A statsd server to which Airflow's metrics go."""
    pytest.importorskip("statsd")
    with listening() as server, airflow_metrics(settings_of(server.port)):
        yield server


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A folder that triggerers have, too."""
    monkeypatch.setenv("AIRFLOW__KLING__SHARED_FOLDERS", str(tmp_path))
    (tmp_path / "videos").mkdir()
    return tmp_path


def video(**kwargs):
    return operator(wait_for_completion=True, **kwargs)


def sensor(kling_task_id, **kwargs):
    with DAG("d", schedule=None):
        return KlingTaskSensor(task_id="wait", kling_task_id=kling_task_id, **{"poke_interval": 0.05, **kwargs})


def batch(folder, rows, **kwargs):
    (folder / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with DAG("d", schedule=None):
        return KlingEffectBatchOperator(
            task_id="batch", manifest=str(folder / "m.jsonl"), results=str(folder / "out"), poll_interval=0.1, **kwargs
        )


def row(number, **columns):
    return {"id": f"r{number}", "effect_scene": "squish", "image": f"https://example.com/{number}.jpg", **columns}


def without_bytes(counts):
    return {name: count for name, count in counts.items() if name != "bytes_saved"}


def fire_in_triggerer(run, monkeypatch):
    """Run the trigger of a deferred task as a triggerer does that can write XComs, and return its event."""
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(send=lambda message: None), raising=False)
    path, kwargs = run.trigger
    from airflow_provider_kling import triggers

    trigger = getattr(triggers, path.rpartition(".")[2])(**{**kwargs, "not_before": 0.0})
    trigger.task_instance = SimpleNamespace(dag_id="d", run_id="r", task_id="video", map_index=-1)

    async def events():
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(events())
    return event


# --- One video, whatever way it takes


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_video_counts_once_on_a_worker_and_after_a_trigger(statsd, folder, deferrable):
    run = FakeAirflow().finish(video(save_to=str(folder / "videos"), deferrable=deferrable, end_from_trigger=False))
    assert run.state == "success", run.error
    counts = statsd.counts()
    assert without_bytes(counts) == ONE
    (file,) = folder.glob("videos/*.mp4")
    assert counts["bytes_saved"] == file.stat().st_size
    assert statsd.tags("done") == {(("conn_id", "kling_default"), ("scene", "pet_lion_pro"))}
    assert statsd.tags("bytes_saved") == {(("conn_id", "kling_default"),)}
    (milliseconds,) = statsd.values("seconds_at_kling")
    assert 0 <= milliseconds <= 5000
    if deferrable:
        assert max(statsd.values("slots_in_use")) == 1
        assert (statsd.values("slots_in_use")[-1], statsd.values("waiting")[-1]) == (0, 0)


@pytest.mark.skipif(not hasattr(XCom, "aset"), reason="before Airflow 3.3 a worker ends every task")
def test_a_task_that_the_triggerer_ends_counts_there(statsd, folder, monkeypatch):
    run = FakeAirflow().run(video(save_to=str(folder / "videos"), deferrable=True))
    assert isinstance(fire_in_triggerer(run, monkeypatch), TaskSuccessEvent)
    assert without_bytes(statsd.counts()) == ONE


@pytest.mark.parametrize("mode", [{}, {"mode": "reschedule"}, {"deferrable": True, "end_from_trigger": False}])
def test_an_operator_that_does_not_wait_leaves_the_end_to_the_sensor(statsd, mode):
    airflow = FakeAirflow()
    airflow.finish(operator())
    assert statsd.counts() == {"created": 1}
    waiting = sensor({"kling_task_id": airflow.result, "effect_scene": "pet_lion_pro"}, **mode)
    while (run := FakeAirflow().finish(waiting)).state == "up_for_reschedule":
        pass
    assert run.state == "success", run.error
    assert statsd.counts() == ONE
    assert statsd.tags("done") == {(("conn_id", "kling_default"), ("scene", "pet_lion_pro"))}


def test_a_sensor_that_is_given_an_id_takes_the_scene_of_its_row(statsd):
    airflow = FakeAirflow()
    airflow.finish(operator())
    FakeAirflow().finish(sensor(airflow.result, row={"row_id": "r1", "effect_scene": "squish", "image": URL, "images": None}))
    assert statsd.tags("done") == {(("conn_id", "kling_default"), ("scene", "squish"))}


def test_a_trigger_that_starts_again_adopts_and_a_worker_counts_once(statsd):
    task, airflow = video(deferrable=True, end_from_trigger=False), FakeAirflow()
    run = airflow.run(task)
    fire(run)
    assert airflow.run(task, event=fire(run)).state == "success"
    assert statsd.counts() == {**ONE, "adopted": 1}


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_retry_after_the_end_of_its_worker_adopts_and_counts_once(statsd, deferrable):
    """The first worker has created the task, and is gone."""
    FakeAirflow().finish(operator())
    run = FakeAirflow(try_number=2, max_tries=1).finish(video(retries=1, deferrable=deferrable, end_from_trigger=False))
    assert run.state == "success", run.error
    assert statsd.counts() == {**ONE, "adopted": 1}


def test_a_retry_counts_the_end_that_the_try_before_has_not_reached(statsd, kling):
    kling.configure(duration=2.0)
    first = FakeAirflow(max_tries=1).finish(video(retries=1, timeout=0.5))
    assert first.state == "up_for_retry", first.error
    assert statsd.counts() == {"created": 1}
    FakeAirflow(try_number=2, max_tries=1).finish(video(retries=1))
    assert statsd.counts() == {**ONE, "adopted": 1}


def test_what_is_cleared_was_counted_before(statsd):
    FakeAirflow().finish(video())
    FakeAirflow(try_number=2, max_tries=1).finish(video())
    assert statsd.counts() == {**ONE, "adopted": 1}


def test_a_create_whose_response_is_lost_is_one_create(statsd, kling):
    kling.fault("drop", on="create", after=True)
    assert FakeAirflow().finish(video()).state == "success"
    assert statsd.counts() == ONE


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_refused_create_counts_with_its_code(statsd, kling, deferrable):
    kling.fault(1303, on="create", times=2)
    assert FakeAirflow().finish(video(deferrable=deferrable, end_from_trigger=False)).state == "success"
    assert statsd.counts() == {**ONE, "refused.1303": 2}


def test_the_hook_alone_counts_what_it_creates(statsd):
    KlingHook().create_task(effect_scene="squish", image=URL)
    assert statsd.counts() == {"created": 1}


# --- Failures by kind


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_failed_task_counts_as_failed(statsd, kling, deferrable):
    kling.fail_next("Internal trouble", times=1)
    assert FakeAirflow().finish(video(deferrable=deferrable)).state == "failed"
    counts = statsd.counts()
    counts.pop("units", None)
    assert counts == {"created": 1, "failed.failed": 1}


def test_bad_input_counts_as_invalid_and_other_errors_only_at_the_last_try(statsd, folder):
    (folder / "text.jpg").write_text("no image")
    FakeAirflow().finish(video(image=str(folder / "text.jpg")))
    assert statsd.counts() == {"failed.invalid": 1}
    (folder / "file").write_text("")
    FakeAirflow(max_tries=1).finish(video(retries=1, timeout=0.01))
    assert "failed.error" not in statsd.counts()
    FakeAirflow(try_number=2, max_tries=1).finish(video(retries=1, timeout=0.01))
    assert statsd.counts()["failed.error"] == 1


def test_a_sensor_whose_time_is_over_counts_as_an_error(statsd, kling):
    kling.configure(duration=600)
    airflow = FakeAirflow()
    airflow.finish(operator())
    for deferrable in (False, True):
        assert FakeAirflow().finish(sensor(airflow.result, timeout=0.3, deferrable=deferrable)).state == "failed"
    assert statsd.counts() == {"created": 1, "failed.error": 2}
    assert statsd.tags("failed") == {
        (("conn_id", "kling_default"), ("error_kind", "timeout"), ("kind", "error"), ("scene", "other"))
    }


# --- Batches

ROWS = [*map(row, range(5)), row(5, image="")]
ALL = {"created": 5, "done": 5, "failed.invalid": 1, "units": 12.5}


@pytest.mark.parametrize("deferrable", [False, True])
def test_each_row_of_a_batch_counts_once_on_a_worker_and_with_a_triggerer(statsd, folder, deferrable):
    run = FakeAirflow().finish(batch(folder, ROWS, deferrable=deferrable))
    assert run.state == "success", run.error
    counts = statsd.counts()
    assert counts["bytes_saved"] == sum(file.stat().st_size for file in folder.glob("out/videos/*.mp4"))
    assert {name: count for name, count in without_bytes(counts).items() if not name.startswith("refused")} == ALL
    assert len(statsd.values("seconds_at_kling")) == 5


def test_the_rows_of_a_batch_that_is_cleared_were_counted_before(statsd, folder, kling):
    kling.configure(slots=10)
    kling.fail_next("The image violates the policy: risk control", times=1)
    FakeAirflow().finish(batch(folder, ROWS))
    before = statsd.counts()
    assert before["done"] == 4
    assert before["failed.failed"] == 1
    FakeAirflow(try_number=2, max_tries=1).finish(batch(folder, ROWS))
    after = statsd.counts()
    made_anew = after["created"] - before["created"]  # of the failed row, if its failure may pass
    assert {**after, "adopted": 0} == {
        **before,
        "adopted": 0,
        "created": 5 + made_anew,
        "done": 4 + made_anew,
        "units": before["units"] + 2.5 * made_anew,
        "bytes_saved": after["bytes_saved"],
    }


def test_a_batch_counts_what_its_killed_predecessor_has_not(statsd, folder, kling):
    """The first process has saved two videos and counted them; the other tasks have ended since, or still run."""
    kling.configure(slots=10)
    task = batch(folder, ROWS)
    FakeAirflow().finish(task)
    (folder / "out" / "results.jsonl").unlink()  # a killed batch writes none
    videos = sorted((folder / "out" / "videos").glob("*.mp4"))
    for file in videos[2:]:
        file.unlink()
    before = statsd.counts()
    FakeAirflow(try_number=2, max_tries=1).finish(batch(folder, ROWS[:5], retries=1))
    after = statsd.counts()
    assert after["done"] - before["done"] == 3
    assert (after["created"], after["adopted"]) == (before["created"], 5)


def test_a_row_that_may_work_at_another_try_has_not_failed_yet(statsd, folder, kling):
    kling.configure(duration=600)
    rows = [row(1)]
    FakeAirflow(max_tries=1).finish(batch(folder, rows, retries=1, timeout=3))
    assert statsd.counts() == {"created": 1}
    FakeAirflow(try_number=2, max_tries=1).finish(batch(folder, rows, retries=1, timeout=3))
    assert statsd.counts() == {"created": 1, "adopted": 1, "failed.error": 1}


# --- Names, tags, and what metrics cost


def test_tags_stay_few_and_plain(statsd, kling):
    sink = AirflowSink()
    sink.record(CREATED, conn_id="a,b=c d\n|é", scene="a scene of tomorrow")
    sink.record(UNITS, 2.5, conn_id="x" * 500, scene=None)
    sink.record(SECONDS_AT_KLING, 90.25, conn_id="kling_default", scene="squish")
    created, units, seconds = statsd.read()
    assert created.tags == (("conn_id", "a_b_c_d___"), ("scene", "other"))
    assert (units.value, dict(units.tags)["conn_id"]) == (2.5, "x" * 60)
    assert (seconds.value, seconds.kind) == (90_250.0, "ms")


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid"])
def test_a_statsd_that_is_not_there_costs_nothing(kling, host, caplog):
    """Nobody listens at port 9, and the other host has no address: both are told to nobody but Airflow's own log."""
    with airflow_metrics({**settings_of(9), "AIRFLOW__METRICS__STATSD_HOST": host}), caplog.at_level(logging.INFO):
        assert FakeAirflow().finish(video()).state == "success"
    assert not [record for record in caplog.records if record.name.startswith("airflow_provider_kling") and record.levelno > 20]


def test_a_fault_of_the_metrics_is_no_fault_of_the_work(kling, monkeypatch):
    from airflow_provider_kling.hooks import telemetry

    monkeypatch.setattr(telemetry, "_stats", lambda: 1 / 0)
    assert FakeAirflow().finish(video()).state == "success"


def test_the_docs_list_every_metric():
    table = re.findall(
        r"^\| `(kling\.\w+)` \| (\w+) \| (.+?) \| (.+) \|$", (ROOT / "docs" / "reference" / "metrics.md").read_text(), re.MULTILINE
    )
    wanted = [(metric.name, metric.kind, ", ".join(f"`{tag}`" for tag in metric.tags), metric.description) for metric in METRICS]
    assert table == wanted


def test_a_new_kind_of_metric_is_a_mistake_here():
    assert {metric.kind for metric in METRICS} == {"counter", "gauge", "timer"}
    AirflowSink().record(replace(CREATED, tags=("conn_id", "no_such_tag")), conn_id="a")  # noted, not raised
