"""How a sensor fails or skips: `soft_fail` and `never_fail` mean the same in all modes."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG
from airflow.sdk.execution_time.xcom import XCom
from task_runs import FakeAirflow, fire

from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.errors import KlingAuthError, KlingInputError, KlingSettingsError
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor

MODES = {"poke": {"mode": "poke"}, "reschedule": {"mode": "reschedule"}, "deferrable": {"deferrable": True}}


def sensor(kling_task_id, **kwargs) -> KlingTaskSensor:
    with DAG("d", schedule=None):
        return KlingTaskSensor(task_id="wait", **{"kling_task_id": kling_task_id, "poke_interval": 0.05, **kwargs})


def create() -> str:
    with KlingHook() as hook:
        return hook.create_task(EffectRequest("squish", ["https://example.com/a.jpg"])).kling_task_id


# What goes wrong → the state that a sensor ends in: without a switch, with soft_fail, with never_fail.
TROUBLES = {
    "no id": ("failed", "skipped", "skipped"),
    "no connection": ("failed", "skipped", "skipped"),
    "failed task": ("failed", "skipped", "skipped"),
    "no room for the video": ("up_for_retry", "up_for_retry", "skipped"),
}


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("switch", [None, "soft_fail", "never_fail"])
def test_all_modes_end_in_the_same_state(kling, tmp_path, mode, trouble, switch):
    arguments = {**mode, **({switch: True} if switch else {})}
    if trouble == "no id":
        waiting = sensor(None, **arguments)
    elif trouble == "no connection":
        waiting = sensor("1", kling_conn_id="nowhere", **arguments)
    elif trouble == "failed task":
        kling.fail_next()
        waiting = sensor(create(), **arguments)
    else:
        (tmp_path / "taken").write_text("a file where a folder is expected")
        waiting = sensor(create(), save_to=str(tmp_path / "taken"), **arguments)
    airflow = FakeAirflow(max_tries=1)
    run = airflow.finish(waiting)
    while run.state == "up_for_reschedule":
        run = airflow.finish(waiting)
    assert run.state == TROUBLES[trouble][[None, "soft_fail", "never_fail"].index(switch)]


@pytest.mark.kling_emulator(duration=600)
@pytest.mark.parametrize("mode", [MODES["poke"], MODES["deferrable"]], ids=["poke", "deferrable"])
@pytest.mark.parametrize("switch", ["soft_fail", "never_fail"])
def test_a_time_out_skips_with_both_switches(kling, mode, switch):
    assert FakeAirflow().finish(sensor(create(), timeout=0.1, **{switch: True}, **mode)).state == "skipped"


def test_sensor_and_operators_wait_equally_long(tmp_path):
    with DAG("d", schedule=None):
        video = KlingEffectOperator(task_id="video", effect_scene="squish", image="https://example.com/a.jpg")
        batch = KlingEffectBatchOperator(task_id="batch", manifest="s3://b/m.csv", results="s3://b/r")
    assert sensor("1").timeout == video.timeout.total_seconds() == batch.timeout.total_seconds()


@pytest.mark.parametrize("make", ["sensor", "operator"])
def test_a_callback_sees_the_cause_with_its_class_and_code_also_when_deferred(kling, make):
    seen = []
    more = {"deferrable": True, "on_failure_callback": lambda context: seen.append(context.get("exception"))}
    with DAG("d", schedule=None):
        waiting = (
            KlingTaskSensor(task_id="wait", kling_task_id="1", **more)
            if make == "sensor"
            else KlingEffectOperator(task_id="video", effect_scene="squish", image="https://example.com/a.jpg", **more)
        )
    airflow = FakeAirflow()
    run = airflow.run(waiting)
    kling.fault(1002, on="any", times=None)
    run = airflow.run(waiting, event=fire(run))
    assert run.state == "failed"
    assert isinstance(run.error, AirflowFailException)
    assert isinstance(run.error.__cause__, KlingAuthError)
    assert run.error.__cause__.code == 1002
    # Before Airflow 3.3, the runner for tests does not hand the exception to the callback, as Airflow's own does.
    assert seen == [run.error if hasattr(XCom, "aset") else None]


def test_a_bad_input_is_logged_with_one_traceback(kling, capfd):
    run = FakeAirflow().run(sensor(None))
    assert isinstance(run.error.__cause__, KlingInputError)
    assert capfd.readouterr().out.count("Traceback (most recent call last)") == 1


def test_a_missing_connection_is_noticed_before_the_sensor_defers(kling):
    run = FakeAirflow().run(sensor("1", kling_conn_id="nowhere", deferrable=True))
    assert run.state == "failed"
    assert isinstance(run.error.__cause__, KlingSettingsError)
    assert "'nowhere' is not defined" in str(run.error)
