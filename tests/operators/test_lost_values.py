"""Optional arguments whose template or XCom held nothing: refused before anything is sent, unless their author left them out."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG, task
from task_runs import URL, FakeAirflow, operator

from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor

LOST = "the task before left no value"


@task
def before():
    """What it leaves is what the test puts into the XComs: None."""


def lost(airflow, made, name, shown):
    run = airflow.run(made)
    assert isinstance(run.error, AirflowFailException)
    assert f"{name} rendered to {shown}: {LOST}" in str(run.error)


@pytest.mark.parametrize("name", ["row_id", "fresh", "kling_conn_id", "external_task_id", "callback_url"])
@pytest.mark.parametrize("native", [False, True])
def test_the_operator_creates_nothing_with_a_lost_value(kling, name, native):
    with DAG("d", schedule=None, render_template_as_native_obj=native):
        made = KlingEffectOperator(task_id="video", effect_scene="squish", image=URL, **{name: "{{ None }}"})
    lost(FakeAirflow(), made, name, "None" if native else "'None'")
    with DAG("d", schedule=None):
        made = KlingEffectOperator(task_id="video", effect_scene="squish", image=URL, **{name: before()})
    lost(FakeAirflow(xcoms={"return_value": None}), made, name, "None")
    assert kling.journal == []


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("name", ["row_id", "kling_conn_id"])
def test_the_sensor_asks_nothing_with_a_lost_value(kling, name, deferrable):
    for value, xcoms, shown in (("{{ None }}", {}, "'None'"), (before, {"return_value": None}, "None")):
        with DAG("d", schedule=None):
            value = value() if callable(value) else value
            found = {"kling_task_id": "831", "row_id": "another"}
            made = KlingTaskSensor(task_id="wait", kling_task_id=found, deferrable=deferrable, **{name: value})
        lost(FakeAirflow(xcoms=xcoms), made, name, shown)
    assert kling.journal == []


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("name", ["fresh", "kling_conn_id"])
def test_the_batch_starts_nothing_with_a_lost_value(kling, tmp_path, name, deferrable):
    (tmp_path / "m.csv").write_text(f"effect_scene,image\nsquish,{URL}\n")
    with DAG("d", schedule=None):
        made = KlingEffectBatchOperator(
            task_id="batch", manifest=tmp_path / "m.csv", results=tmp_path / "out", deferrable=deferrable, **{name: "{{ None }}"}
        )
    lost(FakeAirflow(), made, name, "'None'")
    assert kling.journal == []
    assert not (tmp_path / "out").exists()


def test_one_lost_connection_of_several_is_seen(kling):
    with DAG("d", schedule=None):
        conns = ["kling_default", "{{ None }}"]
        made = KlingEffectOperator(task_id="video", effect_scene="squish", image=URL, kling_conn_id=conns)
    lost(FakeAirflow(), made, "kling_conn_id", "['kling_default', 'None']")


@pytest.mark.parametrize(
    "left_out", [{"fresh": None}, {"row_id": None}, {"fresh": "{{ '' }}"}, {"row_id": "{{ '' }}"}, {"fresh": "None"}]
)
def test_what_an_author_left_out_or_wrote_is_no_lost_value(airflow, kling, left_out):
    assert airflow.run(operator(**left_out)).state == "success"
    assert len(kling.ledger) == 1


def test_no_connection_is_a_sentence(airflow, kling):
    run = airflow.run(operator(kling_conn_id=None))
    assert "kling_conn_id is None; wanted is the id of a connection, or a list of ids." in str(run.error)
