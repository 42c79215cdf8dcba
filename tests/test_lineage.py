"""The lineage events of a run, as Airflow's own OpenLineage provider writes them to a file."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from airflow.sdk import DAG, task
from places import PHOTOS
from task_runs import FakeAirflow, operator

from airflow_provider_kling.dispatch import schedule
from airflow_provider_kling.lineage import MOST_ROWS, DatasetName, dataset_name
from airflow_provider_kling.operators import KlingEffectBatchOperator
from airflow_provider_kling.sensors import KlingTaskSensor

SECRET = "https://user:pw@cdn.example.com/in/a%20b.jpg?X-Amz-Signature=5ecre7&X-Amz-Expires=9"


@pytest.fixture(autouse=True)
def quick(monkeypatch, kling):
    monkeypatch.setattr(schedule, "FIRST_POLL", 0.1)
    kling.configure(videos="clip", duration=0.3, jitter=0)


@pytest.fixture
def events(monkeypatch, tmp_path):
    """The events of the provider's listener, which is registered as its plugin registers it. It writes them in this process."""
    pytest.importorskip("airflow.providers.openlineage")
    pytest.importorskip("airflow.sdk.listener", reason="Airflow 3.1 keeps its listeners elsewhere")
    from airflow.providers.openlineage import conf
    from airflow.providers.openlineage.plugins import adapter, listener
    from airflow.sdk.listener import get_listener_manager

    path = tmp_path / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(path), "append": True}
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps(transport))
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__NAMESPACE", "tests")
    monkeypatch.setattr(os, "fork", lambda: 0)  # the listener forks, and ends the child: here it is this process
    monkeypatch.setattr(os, "_exit", lambda code: None)
    for function in vars(conf).values():
        if hasattr(function, "cache_clear"):
            function.cache_clear()
    monkeypatch.setattr(listener, "_openlineage_listener", None, raising=False)
    manager, plugin = get_listener_manager(), listener.OpenLineageListener()
    assert isinstance(plugin.adapter, adapter.OpenLineageAdapter)
    manager.add_listener(plugin)
    yield lambda: [json.loads(line) for line in path.read_text().splitlines()]
    manager.pm.unregister(plugin)
    for function in vars(conf).values():
        if hasattr(function, "cache_clear"):
            function.cache_clear()


def names(datasets):
    return [(dataset["namespace"], dataset["name"]) for dataset in datasets]


def test_a_video_comes_from_its_image(events, kling, tmp_path):
    airflow = FakeAirflow()
    run = airflow.finish(operator(image=SECRET, wait_for_completion=True, save_to=str(tmp_path), deferrable=True))
    assert run.state == "success", run.error
    first, last = events()[0], events()[-1]
    assert (first["eventType"], last["eventType"]) == ("START", "COMPLETE")
    assert names(first["inputs"]) == names(last["inputs"]) == [("https://cdn.example.com", "in/a%20b.jpg")]
    assert names(last["outputs"]) == [("file", airflow.result["videos"][0]["path"])]
    facet = last["run"]["facets"]["kling_task"]
    assert facet["klingTaskId"] == kling.ledger[0]["kling_task_id"]
    assert (facet["effectScene"], facet["status"], facet["units"]) == ("pet_lion_pro", "succeed", "2.5")
    text = json.dumps(events())
    assert "5ecre7" not in text
    assert "user:pw" not in text


def test_a_failed_task_tells_which_one_it_was(events, kling):
    kling.fail_next("Internal trouble", times=1)
    assert FakeAirflow().finish(operator(wait_for_completion=True)).state == "failed"
    last = events()[-1]
    assert (last["eventType"], last["outputs"]) == ("FAIL", [])
    assert names(last["inputs"]) == [("https://example.com", "portrait.jpg")]
    assert last["run"]["facets"]["kling_task"]["klingTaskId"] == kling.ledger[0]["kling_task_id"]


def test_a_sensor_names_the_video_at_kling_where_none_is_saved(events):
    airflow = FakeAirflow()
    airflow.finish(operator())
    with DAG("d", schedule=None):
        sensor = KlingTaskSensor(task_id="wait", kling_task_id=airflow.result, poke_interval=0.05)
    FakeAirflow().finish(sensor)
    ((namespace, name),) = names(events()[-1]["outputs"])
    assert namespace.startswith("http://127.0.0.1:")
    assert name.endswith(".mp4")


def test_a_batch_names_manifest_results_and_the_first_videos(events, kling, tmp_path):
    kling.configure(slots=100, duration=0.1)
    inline = base64.b64encode((PHOTOS / "china.jpg").read_bytes()).decode()
    rows = [{"id": f"r{n}", "effect_scene": "squish", "image": f"https://example.com/{n}.jpg"} for n in range(MOST_ROWS + 5)]
    rows[1]["image"], rows[2]["image"] = inline, ""
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with DAG("d", schedule=None):
        batch = KlingEffectBatchOperator(
            task_id="batch", manifest=str(tmp_path / "m.jsonl"), results=str(tmp_path / "out"), poll_interval=0.1
        )
    assert FakeAirflow().finish(batch).state == "success"
    last = events()[-1]
    images = [("https://example.com", f"{n}.jpg") for n in range(MOST_ROWS) if n not in (1, 2)]
    assert names(last["inputs"]) == [("file", str(tmp_path / "m.jsonl")), *images]
    results, report, *videos = names(last["outputs"])
    assert (results, report) == (("file", str(tmp_path / "out/results.jsonl")), ("file", str(tmp_path / "out/report.html")))
    assert len(videos) == MOST_ROWS - 1
    assert all(Path(name).is_file() for _, name in videos)
    facet = last["run"]["facets"]["kling_batch"]
    assert [facet[name] for name in ("rows", "succeed", "invalid", "rowsNamed")] == [MOST_ROWS + 5, MOST_ROWS + 4, 1, MOST_ROWS]
    assert inline[:40] not in json.dumps(events())


def test_a_decorated_function_tells_of_its_request_or_of_its_list(events, kling, tmp_path):
    request = {"effect_scene": "squish", "image": "https://example.com/a.jpg"}
    for returned, facet in ((request, "kling_task"), ([request], "kling_batch")):
        with DAG("d", schedule=None):

            @task.kling_effect(results=str(tmp_path), poll_interval=0.1)
            def video(what):
                return what

            made = video(returned).operator
        assert FakeAirflow().finish(made).state == "success"
        last = events()[-1]
        assert ("https://example.com", "a.jpg") in names(last["inputs"])
        assert facet in last["run"]["facets"]
    assert ("file", str(tmp_path / "results.jsonl")) in names(last["outputs"])


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("s3://bucket/a/b.jpg", ("s3://bucket", "a/b.jpg")),
        ("s3://conn_id@My.Bucket/a b?c.jpg", ("s3://My.Bucket", "a b?c.jpg")),
        ("gs://bucket/x.mp4", ("gs://bucket", "x.mp4")),
        ("abfss://box@account.dfs.core.windows.net/x.mp4", ("abfss://box@account.dfs.core.windows.net", "x.mp4")),
        ("https://u:p@Example.com:8443/a.jpg?sig=1#f", ("https://example.com:8443", "a.jpg")),
        ("http://[::1]:80/a.jpg", ("http://[::1]:80", "a.jpg")),
        ("https://example.com", ("https://example.com", "/")),
        ("/data/../data/a.jpg", ("file", "/data/a.jpg")),
        ("file:///data/a%20b.jpg", ("file", "/data/a b.jpg")),
        ("https://example.com:no/a.jpg", None),
        ("data:image/png;base64,AAAA", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_names_follow_the_specification(place, name):
    assert dataset_name(place) == (name and DatasetName(*name))
