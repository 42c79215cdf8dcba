"""What a worker does before it defers: it checks the connection, and bounds the wait."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from airflow.sdk import DAG
from task_runs import FakeAirflow

from airflow_provider_kling.errors import KlingSettingsError
from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor

KINDS = ["operator", "sensor", "batch"]


@pytest.fixture
def deferrable(tmp_path, monkeypatch):
    """Makes a deferrable operator or sensor of each kind."""
    monkeypatch.setenv("AIRFLOW__KLING__SHARED_FOLDERS", str(tmp_path))
    (tmp_path / "m.csv").write_text("effect_scene,image\nsquish,https://example.com/a.jpg\n")

    def make(kind, **kwargs):
        kwargs = {"task_id": "t", "deferrable": True, **kwargs}
        with DAG("d", schedule=None):
            if kind == "operator":
                return KlingEffectOperator(effect_scene="squish", image="https://example.com/a.jpg", **kwargs)
            if kind == "sensor":
                return KlingTaskSensor(kling_task_id="1", **kwargs)
            return KlingEffectBatchOperator(manifest=str(tmp_path / "m.csv"), results=str(tmp_path / "out"), **kwargs)

    return make


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("limit", "timeout"), [(3600, 7200), (7200, 3600), (None, 3600)])
def test_the_smaller_of_timeout_and_execution_timeout_bounds_the_wait(kling, capfd, deferrable, kind, limit, timeout):
    execution_timeout = timedelta(seconds=limit) if limit else None
    before = time.time()
    run = FakeAirflow().run(deferrable(kind, execution_timeout=execution_timeout, timeout=timeout))
    assert run.state == "deferred"
    deadline = run.trigger[1]["deadline"]
    assert before + 3600 <= deadline <= time.time() + 3600
    assert ("(its execution_timeout)" in capfd.readouterr().out) == (limit == 3600)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("connection", "reason"),
    [(None, "is not defined"), ("http://a:b@example.com", "its type is 'http'"), ("kling://a:b@x/?timeout=soon", "timeout")],
)
def test_a_connection_that_cannot_work_is_noticed_on_the_worker(kling, monkeypatch, deferrable, kind, connection, reason):
    if connection:
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection)
    run = FakeAirflow(max_tries=1).run(deferrable(kind, kling_conn_id="other"))
    assert run.state == "failed"
    assert isinstance(run.error.__cause__, KlingSettingsError)
    assert reason in str(run.error)
    assert not kling.journal
