"""KlingChargesOperator and the DAG `kling_charges`, through Airflow's own task runner."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.sdk import DAG
from places import ROOT
from task_runs import FakeAirflow

from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.links import KlingChargesLink
from airflow_provider_kling.operators import KlingChargesOperator
from airflow_provider_kling.results import result_of

REQUEST = EffectRequest("squish", ["https://example.com/a.jpg"])
TODAY = "{{ params.day }}"


def operator(folder: Path, **options: Any) -> KlingChargesOperator:
    with DAG("d", schedule=None, params={"day": days()[0]}):
        return KlingChargesOperator(task_id="charges", **{"start": TODAY, "end": days()[1], "save_to": str(folder), **options})


def days() -> tuple[str, str]:
    """Yesterday and tomorrow: a test may begin before a midnight and end after it."""
    now = pendulum.now("UTC")
    return now.subtract(days=1).to_date_string(), now.add(days=1).to_date_string()


def lines(output: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (output / "charges.jsonl").read_text().splitlines()]


def a_result() -> dict[str, Any]:
    hook = KlingHook()
    task = hook.get_task(hook.create_task(REQUEST).kling_task_id)
    return {**result_of(task, effect_scene="squish"), "row_id": "r"}


@pytest.mark.kling_emulator(slots=50, duration=0)
def test_it_writes_the_table_and_returns_its_summary(kling, tmp_path):
    result = a_result()
    kling.charge("0.25")
    airflow = FakeAirflow()
    assert airflow.run(operator(tmp_path, results=[result])).state == "success"
    assert (airflow.result["charges"], airflow.result["units"]) == (2, "2.75")
    assert airflow.result["page"] == str(tmp_path / "charges.html")
    assert sorted(line["state"] for line in lines(tmp_path)) == ["matched", "unknown"]
    assert {key for key in airflow.xcoms if key.startswith("_link_")} == {"_link_KlingChargesLink"}


@pytest.mark.kling_emulator(slots=50, duration=0, billing_delay=3600.0)
def test_written_again_the_table_of_a_day_has_what_has_shown_since(kling, tmp_path):
    result = a_result()
    task = operator(tmp_path, results=result)
    assert FakeAirflow().run(task).state == "success"
    assert [line["state"] for line in lines(tmp_path)] == ["too_early"]
    kling.configure(billing_delay=0)
    for _ in range(2):
        assert FakeAirflow().run(task).state == "success"
        assert [line["state"] for line in lines(tmp_path)] == ["matched"]


@pytest.mark.kling_emulator(slots=50, duration=0)
def test_a_task_without_a_charge_is_missing_once_its_time_is_over(kling, tmp_path):
    task = operator(tmp_path, results={**a_result(), "kling_task_id": "7"}, lateness=0)
    assert FakeAirflow().run(task).state == "success"
    assert sorted(line["state"] for line in lines(tmp_path)) == ["not_charged", "unknown"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"start": "November"}, "The start of the charges is 'November'"),
        ({"start": "2026-11-02", "end": "2026-11-01"}, "not before its end"),
        ({"timezone": "Mars", "start": "2026-11-02"}, "The time zone is 'Mars'"),
        ({"save_to": " "}, "save_to is ' '; wanted is a folder or URI"),
        ({"results": 7}, "results is 7; wanted is the path or URI"),
        ({"lateness": -1}, "lateness is -1"),
        ({"lateness": True}, "lateness is True"),
    ],
)
def test_what_stands_wrong_in_the_dag_file_is_an_error_of_the_dag(tmp_path, options, named):
    with pytest.raises(KlingInputError, match=named):
        operator(tmp_path, **options)


@pytest.mark.parametrize(
    ("options", "state", "named"),
    [
        ({"start": "{{ params.day }}x"}, "failed", "The start of the charges is"),
        ({"save_to": "{{ none }}"}, "failed", "save_to rendered to 'None'"),
        ({"results": "{{ none }}"}, "failed", "results rendered to 'None'"),
        ({"kling_conn_id": "nowhere"}, "failed", "Connection 'nowhere' is not defined"),
    ],
)
def test_what_renders_to_nothing_fails_without_a_retry(tmp_path, options, state, named):
    run = FakeAirflow(max_tries=2).run(operator(tmp_path / "out", **options))
    assert (run.state, type(run.error).__name__) == (state, "AirflowFailException")
    assert named in str(run.error)
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


@pytest.mark.kling_emulator(slots=50, duration=0)
def test_a_place_that_may_come_or_an_account_that_cannot_be_read_is_tried_again(kling, tmp_path):
    run = FakeAirflow(max_tries=2).run(operator(tmp_path, results=str(tmp_path / "later")))
    assert run.state == "up_for_retry"
    kling.fault(1103, on="billing", times=None)
    run = FakeAirflow(max_tries=2).run(operator(tmp_path))
    assert (run.state, list(tmp_path.iterdir())) == ("failed", [])


def test_its_link_leads_to_the_page_of_the_task_instance():
    key = type("Key", (), {"dag_id": "d", "run_id": "a b", "task_id": "g.charges", "map_index": 2})
    expected = "/kling/api/dags/d/charges?run_id=a+b&task_id=g.charges&map_index=2"
    assert KlingChargesLink().get_link(None, ti_key=key) == expected


def test_a_serialized_dag_has_its_link_and_takes_dates(tmp_path):
    from airflow_provider_kling import testing

    day = pendulum.date(2026, 11, 1)
    with DAG("d", schedule=None) as dag:
        KlingChargesOperator(task_id="one", start=day, end=day, save_to=tmp_path, results=[tmp_path])
        KlingChargesOperator.partial(task_id="many", save_to="x").expand(start=["2026-11-01", "2026-11-02"])
    tasks = {task["__var"]["task_id"]: task["__var"] for task in testing._serialize(dag)["dag"]["tasks"]}
    assert list(tasks["one"]["_operator_extra_links"]) == ["Charges"]
    assert (tasks["one"]["save_to"], tasks["one"]["results"]) == (str(tmp_path), [str(tmp_path)])
    with pytest.raises(KlingInputError, match="save_to"):
        KlingChargesOperator(task_id="wrong", start=day, save_to="")


@pytest.mark.integration
def test_a_dag_file_does_not_pay_for_it():
    code = (
        "import sys; from airflow.sdk import DAG; from airflow_provider_kling.operators import KlingChargesOperator as O\n"
        "with DAG('d', schedule=None): O(task_id='c', start='2026-11-01', save_to='x', results='y')\n"
        "print([m for m in ('requests', 'aiohttp', 'PIL', 'jwt', 'fastapi', 'jinja2') if m in sys.modules and m != 'jinja2'])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


# --- The sample DAG


def sample(task_id: str, **params: Any) -> Any:
    dag = runpy.run_path(str(ROOT / "dags" / "kling_charges.py"))["kling_charges"]()
    task = dag.get_task(task_id)
    for name, value in params.items():
        dag.params[name] = task.params[name] = value
    return task


@pytest.mark.parametrize(
    ("params", "day"),
    [({}, "2025-12-31"), ({"date": "2026-11-22"}, "2026-11-22"), ({"timezone": "America/New_York"}, "2025-12-30")],
)
def test_a_run_writes_the_day_before_it_into_a_folder_of_its_own(tmp_path, monkeypatch, params, day):
    monkeypatch.setenv("AIRFLOW_VAR_KLING_CHARGES", str(tmp_path))
    airflow = FakeAirflow()  # of 2026-01-01, at midnight UTC
    assert airflow.run(sample("find", **params)).state == "success"
    assert airflow.result == {"date": day, "save_to": f"{tmp_path}/{day}"}


def test_without_a_folder_the_sample_fails_at_once():
    run = FakeAirflow().run(sample("find"))
    assert (run.state, type(run.error).__name__) == ("failed", "AirflowFailException")
    assert "set the Airflow Variable kling_charges or the param output" in str(run.error)


def test_a_time_zone_that_is_none_fails_the_sample_at_once(tmp_path):
    run = FakeAirflow().run(sample("find", output=str(tmp_path), timezone="Mars"))
    assert (run.state, type(run.error).__name__) == ("failed", "AirflowFailException")
    assert "The time zone is 'Mars'" in str(run.error)
