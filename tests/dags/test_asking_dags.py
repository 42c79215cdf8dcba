"""The sample DAGs that ask and save: tests/stack runs both in a whole Airflow, with callbacks."""

from __future__ import annotations

import json
import runpy
from typing import Any

import pytest
from airflow.sdk import DAG
from places import ROOT
from task_runs import FakeAirflow

from airflow_provider_kling.callbacks import CALLBACK, end_of
from airflow_provider_kling.ended_rows import join_ended, save_ended
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.testing import run_dag


def dag_of(dag_id: str) -> DAG:
    dag: DAG = runpy.run_path(str(ROOT / "dags" / f"{dag_id}.py"))[dag_id]()
    return dag


@pytest.mark.kling_emulator(slots=50, duration=0, videos="clip")
def test_what_the_one_has_asked_for_is_joined_to_what_the_other_has_saved(kling, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_KLING_ENDED", str(tmp_path / "ended"))
    rows = [{"id": name, "effect_scene": "squish", "image": f"https://example.com/{name}.jpg"} for name in ("a", "b")]
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, [*rows, {"id": "bad"}])))
    run_dag(dag_of("kling_effects_ask"), {"manifest": str(tmp_path / "manifest.jsonl"), "output": str(tmp_path / "out")})
    assert len(kling.ledger) == 2
    with KlingHook() as hook:
        tasks = [hook.get_task(task["kling_task_id"]) for task in kling.ledger]
    assert save_ended([end_of(task, "kling_default", CALLBACK) for task in tasks], str(tmp_path / "ended")) == {"saved": 2}
    (summary,) = join_ended(str(tmp_path / "ended"))
    assert (summary["succeed"], summary["invalid"], summary["waiting"]) == (2, 1, 0)
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [(line["id"], line["status"]) for line in lines] == [("a", "succeed"), ("b", "succeed"), ("bad", "invalid")]
    assert all(task["external_task_id"] in {line["external_task_id"] for line in lines} for task in kling.ledger)


@pytest.mark.parametrize(("dag_id", "task_id"), [("kling_effects_ask", "read"), ("kling_effects_on_callback", "save")])
def test_without_a_folder_nothing_is_asked_for_and_nothing_saved(kling, monkeypatch, dag_id, task_id):
    monkeypatch.setenv("AIRFLOW_VAR_KLING_ENDED", "")
    dag = dag_of(dag_id)
    task: Any = dag.get_task(task_id)
    for name in {"manifest", "output"} & set(dag.params):
        dag.params[name] = task.params[name] = "x"
    run = FakeAirflow().run(task)
    assert run.state == "failed"
    assert "set the Airflow Variable kling_ended or the param folder" in str(run.error)
    assert not kling.journal


def test_each_dag_that_names_the_asset_names_its_watcher():
    """Airflow takes away the watchers of an asset when it parses a DAG that names it without them."""
    saving, asking = dag_of("kling_effects_on_callback"), dag_of("kling_effects_ask")
    (inlet,) = saving.get_task("save").inlets
    assert [watcher.name for watcher in inlet.watchers] == ["kling_sweep_kling_default"]
    assert inlet in saving.schedule.objects
    (outlet,) = asking.get_task("remember").outlets
    assert outlet in saving.schedule.objects
    assert outlet != inlet
