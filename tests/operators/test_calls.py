"""What a worker asks Airflow's API server for, of which each request costs it some 7 ms of CPU time."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from airflow.sdk import DAG
from PIL import Image
from task_runs import FakeAirflow, fire, operator

from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.operators import KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor

CONN_ID = "kling_default"
CONNECTION, KLING_TASK, RESULT, LINK = f"GET {CONN_ID}", "POST kling_task", "POST return_value", "POST _link_KlingVideoLink"


@pytest.fixture
def image(tmp_path) -> Path:
    """A file that only the worker can read, so that it creates the task."""
    Image.new("RGB", (300, 300)).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def asked(operator, monkeypatch, *, recorded: bool | None = None) -> list[list[str]]:
    """What each start of the worker asked for, besides what it does with every task. The triggerer has the connection itself.

    `recorded` is what a triggerer says that has written the XCom `kling_task`, or could not.
    """
    connection = json.loads(os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"])
    fields = {"conn_id": CONN_ID, "login": None, "schema": None, "port": None, **connection}
    airflow = FakeAirflow(map_index=0, connections={CONN_ID: {**fields, "extra": json.dumps(connection["extra"])}})
    with monkeypatch.context() as worker:
        worker.delenv(f"AIRFLOW_CONN_{CONN_ID.upper()}")
        run = airflow.run(operator)
    starts = [_ours(airflow)]
    while run.state == "deferred":
        event = fire(run)
        if recorded is not None:
            event["recorded"] = recorded
        with monkeypatch.context() as worker:
            worker.delenv(f"AIRFLOW_CONN_{CONN_ID.upper()}")
            run = airflow.run(operator, event=event)
        starts.append(_ours(airflow))
    assert run.state == "success", run.error
    return starts


def _ours(airflow: FakeAirflow) -> list[str]:
    found = [re.sub("/(.+/)?", "", request) for request in airflow.requests if "/connections/" in request or "/xcoms/" in request]
    airflow.requests.clear()
    return found


def deferrable(**kwargs) -> KlingEffectOperator:
    return operator(deferrable=True, wait_for_completion=True, **kwargs)


@pytest.mark.usefixtures("kling")
def test_a_row_created_in_the_triggerer_asks_once_for_the_connection_and_writes_nothing_twice(monkeypatch, tmp_path):
    starts = asked(deferrable(save_to=str(tmp_path)), monkeypatch, recorded=True)
    assert starts == [[CONNECTION], [CONNECTION, RESULT, LINK]]


@pytest.mark.usefixtures("kling")
def test_a_worker_writes_the_ids_that_the_triggerer_did_not(monkeypatch, tmp_path):
    starts = asked(deferrable(save_to=str(tmp_path)), monkeypatch, recorded=False)
    assert starts == [[CONNECTION], [KLING_TASK, CONNECTION, RESULT, LINK]]


@pytest.mark.usefixtures("kling")
def test_a_row_created_on_the_worker_writes_its_ids_once(monkeypatch, tmp_path, image):
    starts = asked(deferrable(save_to=str(tmp_path), image=str(image)), monkeypatch)
    assert starts == [[CONNECTION, KLING_TASK], [CONNECTION, RESULT, LINK]]


@pytest.mark.usefixtures("kling")
def test_a_result_without_files_needs_no_connection(monkeypatch):
    assert asked(deferrable(), monkeypatch, recorded=True) == [[CONNECTION], [RESULT, LINK]]


@pytest.mark.usefixtures("kling")
def test_an_operator_that_only_creates_asks_no_more_on_its_second_start(monkeypatch):
    assert asked(operator(deferrable=True), monkeypatch, recorded=True) == [[CONNECTION], [RESULT]]


def test_a_sensor_asks_once_for_the_connection_on_each_start(kling, monkeypatch, tmp_path):
    with KlingHook() as hook:
        task = hook.create_task(effect_scene="squish", image="https://example.com/a.jpg")
    with DAG("d", schedule=None):
        sensor = KlingTaskSensor(
            task_id="wait",
            kling_task_id=task.kling_task_id,
            deferrable=True,
            save_to=str(tmp_path),
            poke_interval=0.05,
        )
    assert asked(sensor, monkeypatch) == [[CONNECTION], [CONNECTION, RESULT, LINK]]
