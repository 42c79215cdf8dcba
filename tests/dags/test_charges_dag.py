"""The DAG `kling_charges` as Airflow runs it."""

from __future__ import annotations

import json
import runpy

import pytest
from places import ROOT

from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.mapping import write_results
from airflow_provider_kling.results import result_of
from airflow_provider_kling.testing import run_dag


@pytest.mark.kling_emulator(slots=50, duration=0)
def test_it_writes_the_table_of_a_day(kling, tmp_path):
    hook = KlingHook()
    task = hook.get_task(hook.create_task(effect_scene="squish", image="https://example.com/a.jpg").kling_task_id)
    result = {**result_of(task, effect_scene="squish"), "row_id": "r"}
    day = result["created_at"][:10]
    write_results(None, str(tmp_path / "results" / "a"), [result])
    dag = runpy.run_path(str(ROOT / "dags" / "kling_charges.py"))["kling_charges"]()
    run_dag(dag, {"output": str(tmp_path / "charges"), "results": str(tmp_path / "results"), "date": day})
    lines = (tmp_path / "charges" / day / "charges.jsonl").read_text().splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["matched"]
