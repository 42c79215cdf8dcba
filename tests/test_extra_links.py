"""The extra links: written when there is something to see, and not before."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, task
from task_runs import FakeAirflow, fire, operator

from airflow_provider_kling.links import KlingReportLink, KlingResultsLink, KlingVideoLink, with_report_links
from airflow_provider_kling.operators import KlingEffectBatchOperator
from airflow_provider_kling.sensors import KlingTaskSensor

TI = SimpleNamespace(dag_id="d", run_id="a b&c/+", task_id="g.t", map_index=3)


def test_addresses_quote_what_they_name():
    run = "/dags/d/runs/a%20b%26c%2F+"
    assert KlingVideoLink().get_link(None, ti_key=TI) == f"{run}/tasks/g.t/mapped/3/plugin/kling-task-videos"
    query = "run_id=a+b%26c%2F%2B"
    assert KlingReportLink().get_link(None, ti_key=TI) == f"/kling/api/dags/d/report?{query}&task_id=g.t&map_index=3"
    assert KlingResultsLink().get_link(None, ti_key=TI) == f"/kling/api/dags/d/results?{query}"


def test_they_begin_with_the_path_of_airflows_own_address(monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://example.com/airflow/")
    assert KlingVideoLink().get_link(None, ti_key=TI).startswith("/airflow/dags/d/")
    assert KlingReportLink().get_link(None, ti_key=TI).startswith("/airflow/kling/api/")


def test_the_old_name_of_the_class_stays():
    from airflow_provider_kling.links import KlingVideoLink as Old

    assert Old().xcom_key == "_link_KlingVideoLink"
    assert Old.name == "Video"


def links_in(airflow):
    return {key for key in airflow.xcoms if key.startswith("_link_")}


def test_no_link_is_written_while_there_is_no_video(kling):
    airflow = FakeAirflow()
    run = airflow.run(operator(wait_for_completion=True, deferrable=True))
    assert (run.state, links_in(airflow)) == ("deferred", set())
    airflow.run(operator(wait_for_completion=True, deferrable=True), event=fire(run))
    assert links_in(airflow) == {"_link_KlingVideoLink"}
    created = FakeAirflow(run_id="other")
    created.finish(operator())
    assert links_in(created) == set()


@pytest.mark.parametrize("risky", ["https://example.com/risk.jpg"])
def test_no_link_is_written_for_a_row_that_failed(kling, risky):
    airflow = FakeAirflow()
    assert airflow.finish(operator(image=risky, wait_for_completion=True)).state == "failed"
    assert links_in(airflow) == set()
    with DAG("d", schedule=None):
        sensor = KlingTaskSensor(task_id="wait", kling_task_id="7")
    assert airflow.run(sensor).state == "failed"
    assert links_in(airflow) == set()


def test_a_batch_leads_to_report_and_results_once_they_are_written(kling, tmp_path):
    (tmp_path / "m.jsonl").write_text(json.dumps({"effect_scene": "squish", "image": "https://example.com/a.jpg"}))
    with DAG("d", schedule=None):
        batch = KlingEffectBatchOperator(task_id="b", manifest=str(tmp_path / "m.jsonl"), results=str(tmp_path / "out"))
        wrong = KlingEffectBatchOperator(task_id="w", manifest=str(tmp_path / "no.jsonl"), results=str(tmp_path / "out"))
    airflow = FakeAirflow()
    airflow.run(wrong)
    assert links_in(airflow) == set()
    airflow.run(batch)
    assert links_in(airflow) == {"_link_KlingReportLink", "_link_KlingResultsLink"}


def test_a_serialized_dag_has_all_links(tmp_path):
    from airflow_provider_kling import testing

    with DAG("d", schedule=None) as dag:
        KlingEffectBatchOperator(task_id="b", manifest="m.jsonl", results="r")
        KlingTaskSensor(task_id="wait", kling_task_id="7")
    tasks = {task["__var"]["task_id"]: task["__var"] for task in testing._serialize(dag)["dag"]["tasks"]}
    assert set(tasks["b"]["_operator_extra_links"]) == {"Report", "Results"}
    assert set(tasks["wait"]["_operator_extra_links"]) == {"Video"}


def test_a_task_that_collects_results_gets_the_links_in_the_dag_file():
    @task(multiple_outputs=False)
    def collect() -> dict[str, int]:
        return {"rows": 0}

    @task(multiple_outputs=False)
    def other() -> dict[str, int]:
        return {}

    with DAG("d", schedule=None):
        collected, plain = with_report_links(collect()), other()
    airflow = FakeAirflow()
    assert airflow.finish(next(collected.iter_references())[0]).state == "success"
    assert links_in(airflow) == {"_link_KlingReportLink", "_link_KlingResultsLink"}
    assert not next(plain.iter_references())[0].operator_extra_links
