"""What KlingTaskSensor takes as `kling_task_id`, and what it answers to the rest."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG, task
from task_runs import FakeAirflow

from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.sensors import KlingTaskSensor
from airflow_provider_kling.sensors.inputs import read_input


def sensor(kling_task_id, **kwargs) -> KlingTaskSensor:
    with DAG("d", schedule=None, render_template_as_native_obj=True):
        return KlingTaskSensor(task_id="wait", **{"kling_task_id": kling_task_id, "poke_interval": 0.05, **kwargs})


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_dict_that_an_operator_left_tells_scene_and_row(kling, deferrable):
    """Its result, or its XCom `kling_task`."""
    with KlingHook() as hook:
        created = hook.create_task(EffectRequest("squish", ["https://example.com/a.jpg"]))
    airflow = FakeAirflow()
    left = {"kling_task_id": created.kling_task_id, "effect_scene": "squish", "row_id": "{{ 7 * 7 }}", "external_task_id": None}
    assert airflow.finish(sensor("{{ params.left }}", params={"left": left}, deferrable=deferrable)).state == "success"
    result = airflow.result
    assert (result["kling_task_id"], result["effect_scene"]) == (created.kling_task_id, "squish")
    assert result["row_id"] == "{{ 7 * 7 }}"  # data is not rendered


def test_a_scene_that_nobody_told_is_not_claimed(kling):
    with KlingHook() as hook:
        created = hook.create_task(EffectRequest("squish", ["https://example.com/a.jpg"]))
    airflow = FakeAirflow()
    airflow.finish(sensor(created.kling_task_id))
    assert airflow.result["effect_scene"] is None


BAD = {
    "list": (
        ["1", "2"],
        "kling_task_id is a list: this is the output of a mapped task, or several ids: use `",
    ),
    "list as text": ("['1', '2']", "a text that looks like a list: use `Kling"),
    "mapped output as text": (
        "LazyXComSequence([2 items])",
        "the output of a mapped task, as a text: use `Kling",
    ),
    "dict as text": ("{'kling_task_id': '1'}", "looks like a dict: set render_template_as_native_obj=True"),
    "another dict": ({"id": "1"}, "kling_task_id is a dict with 'id'; wanted is one with 'kling_task_id'"),
    "float": (1.5, "A task id is 1.5"),
    "path": ("..", "wanted is the id of a Kling task"),
}


@pytest.mark.parametrize(("given", "sentence"), BAD.values(), ids=BAD)
def test_what_cannot_work_is_refused_when_the_dag_is_parsed(given, sentence):
    with pytest.raises(KlingInputError) as error:
        sensor(given)
    assert sentence in str(error.value)


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("name", ["list", "another dict", "float"])
def test_what_a_template_brings_is_checked_before_the_sensor_waits(kling, name, deferrable):
    given, sentence = BAD[name]
    airflow = FakeAirflow()
    run = airflow.run(sensor("{{ params.id }}", params={"id": given}, deferrable=deferrable))
    assert run.state == "failed"
    assert sentence in str(run.error)
    assert not kling.journal


def test_what_only_a_run_can_tell_passes_the_parser():
    @task
    def ids():
        return "1"

    with DAG("d", schedule=None):
        for number, given in enumerate([ids(), {"kling_task_id": ids()}, "{{ params.x }}", {"kling_task_id": "{{ ds }}"}, None]):
            KlingTaskSensor(task_id=f"wait{number}", kling_task_id=given)


@pytest.mark.parametrize("given", ["1", 1, {"kling_task_id": 1}])
def test_an_id_is_read(given):
    assert read_input(given).kling_task_id == "1"


def test_a_wrong_interval_is_refused_when_the_dag_is_parsed():
    with pytest.raises(KlingInputError, match="poke_interval is 0"):
        sensor("1", poke_interval=0)
