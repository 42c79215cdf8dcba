"""KlingTaskSensor in all its modes through Airflow's real task runner, against the emulator."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk import DAG
from task_runs import FakeAirflow, fire

from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.sensors import KlingTaskSensor

MODES = {"poke": {"mode": "poke"}, "reschedule": {"mode": "reschedule"}, "deferrable": {"deferrable": True}}


@pytest.fixture
def airflow():
    return FakeAirflow()


@pytest.fixture(params=MODES)
def mode(request):
    return MODES[request.param]


@pytest.fixture
def task(kling):
    with KlingHook() as hook:
        return hook.create_task(EffectRequest("pet_lion_pro", ["https://example.com/a.jpg"]), external_task_id="submission")


def sensor(kling_task_id, **kwargs) -> KlingTaskSensor:
    with DAG("d", schedule=None):
        return KlingTaskSensor(task_id="wait", **{"kling_task_id": kling_task_id, "poke_interval": 0.05, **kwargs})


def finish(airflow, sensor):
    """Run the sensor as Airflow does: again after each deferral and each reschedule, until it ends."""
    run = airflow.finish(sensor)
    while run.state == "up_for_reschedule":
        run = airflow.finish(sensor)
    return run


def test_the_result_is_the_xcom(airflow, kling, task, mode, tmp_path):
    assert finish(airflow, sensor(task.kling_task_id, save_to=str(tmp_path), row_id="r1", **mode)).state == "success"
    result = airflow.result
    assert (result["status"], result["row_id"], result["kling_task_id"]) == ("succeed", "r1", task.kling_task_id)
    assert Path(result["videos"][0]["path"]).exists()


def test_an_external_id_is_accepted_too(airflow, kling, task, mode):
    assert finish(airflow, sensor("submission", **mode)).state == "success"
    assert airflow.result["kling_task_id"] == task.kling_task_id


@pytest.mark.kling_emulator(duration=0)
def test_a_retry_does_not_defer_if_the_task_is_done(airflow, kling, task):
    airflow.try_number = 2
    assert airflow.run(sensor(task.kling_task_id, deferrable=True)).state == "success"


@pytest.mark.kling_emulator(duration=600)
def test_a_failed_task_fails_the_sensor_without_a_retry(airflow, kling, task, mode):
    from airflow.providers.common.compat.sdk import AirflowFailException

    kling.fail(task.kling_task_id, "Failure to pass the risk control system")
    run = finish(airflow, sensor(task.kling_task_id, row_id="r1", **mode))
    assert run.state == "failed"
    assert isinstance(run.error, AirflowFailException)
    assert "Failure to pass the risk control system" in str(run.error)
    record = airflow.xcoms["failed_result"]
    assert (record["status"], record["row_id"], record["kling_task_id"]) == ("failed", "r1", task.kling_task_id)


@pytest.mark.kling_emulator(duration=600)
def test_soft_fail_skips(airflow, kling, task, mode):
    kling.fail(task.kling_task_id)
    assert finish(airflow, sensor(task.kling_task_id, soft_fail=True, **mode)).state == "skipped"


@pytest.mark.kling_emulator(duration=600)
def test_soft_fail_skips_when_the_task_fails_while_deferred(airflow, kling, task):
    soft = sensor(task.kling_task_id, soft_fail=True, deferrable=True)
    run = airflow.run(soft)
    assert run.state == "deferred"
    kling.fail(task.kling_task_id)
    assert airflow.run(soft, event=fire(run)).state == "skipped"


@pytest.mark.kling_emulator(duration=600)
@pytest.mark.parametrize("mode", [MODES["poke"], MODES["deferrable"]], ids=["poke", "deferrable"])
@pytest.mark.parametrize("soft_fail", [False, True])
def test_a_timeout_names_the_task_and_says_that_it_goes_on(airflow, kling, task, mode, soft_fail):
    run = finish(airflow, sensor(task.kling_task_id, timeout=0.2, soft_fail=soft_fail, **mode))
    assert run.state == ("skipped" if soft_fail else "failed")
    if not soft_fail:
        assert f"Kling task {task.kling_task_id}" in str(run.error)
        assert "goes on" in str(run.error)
        assert type(run.error).__name__ == "AirflowSensorTimeout"


def test_passing_faults_do_not_fail_the_sensor(airflow, kling, task, mode):
    kling.fault("html", on="get", times=2)
    assert finish(airflow, sensor(task.kling_task_id, **mode)).state == "success"


def test_refused_credentials_fail_the_sensor_at_once(airflow, kling, task, mode):
    kling.fault(1002, on="get", times=None)
    run = finish(airflow, sensor(task.kling_task_id, **mode))
    assert run.state == "failed"
    assert "Check the keys" in str(run.error)


def test_an_unknown_id_is_reported(airflow, kling, mode):
    run = finish(airflow, sensor("831922345719271433", **mode))
    assert run.state == "failed"
    assert "no task has the id 831922345719271433" in str(run.error)


@pytest.mark.kling_emulator(duration=600)
def test_an_unknown_status_does_not_end_the_wait(airflow, kling, task):
    kling.show_status(task.kling_task_id, "pondering")
    run = airflow.finish(sensor(task.kling_task_id, timeout=0.3, deferrable=True))
    assert run.state == "failed"
    assert "last seen: pondering" in str(run.error)


@pytest.mark.parametrize("event", [{}, {"task": {}}, "success", {"error": 1}, {"status": "success"}], ids=str)
def test_an_event_of_an_unknown_shape_is_never_a_success(airflow, kling, event):
    assert airflow.run(sensor("1", deferrable=True), event=event).state == "failed"
    assert airflow.xcoms["failed_result"]["status"] == "error"  # the sensor has evaluated the event


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("missing", [None, "None", ""])
def test_an_id_that_the_task_before_did_not_leave_is_named_as_the_reason(airflow, kling, missing, deferrable):
    run = airflow.finish(sensor(missing, deferrable=deferrable))
    assert run.state == "failed"
    assert f"kling_task_id rendered to {missing!r}: the task before left no value" in str(run.error)
    assert not kling.journal
