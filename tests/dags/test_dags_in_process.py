"""Two of the DAGs as Airflow runs them, in the process of the test: a second or two each. `test_dags.py` runs all by command."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
from places import ROOT

from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.mapping import write_results
from airflow_provider_kling.results import result_of
from airflow_provider_kling.testing import run_dag


@pytest.mark.integration
@pytest.mark.kling_emulator(slots=50, duration=0)
def test_the_charges_of_a_day_are_written(kling, tmp_path):
    hook = KlingHook()
    task = hook.get_task(hook.create_task(effect_scene="squish", image="https://example.com/a.jpg").kling_task_id)
    result = {**result_of(task, effect_scene="squish"), "row_id": "r"}
    day = result["created_at"][:10]
    write_results(None, str(tmp_path / "results" / "a"), [result])
    dag = runpy.run_path(str(ROOT / "dags" / "kling_charges.py"))["kling_charges"]()
    run_dag(dag, {"output": str(tmp_path / "charges"), "results": str(tmp_path / "results"), "date": day})
    lines = (tmp_path / "charges" / day / "charges.jsonl").read_text().splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["matched"]


@pytest.mark.kling_emulator(slots=50, duration=0, videos="clip")
def test_a_manifest_becomes_videos_and_results(kling, tmp_path):
    rows = [{"id": name, "effect_scene": "squish", "image": f"https://example.com/{name}.jpg"} for name in ("a", "b")]
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, [*rows, {"id": "bad"}])))
    dag = runpy.run_path(str(ROOT / "dags" / "kling_effects_mapped.py"))["kling_effects_mapped"]()
    run_dag(dag, {"manifest": str(tmp_path / "manifest.jsonl"), "output": str(tmp_path / "out")})
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [(line["id"], line["status"]) for line in lines] == [("a", "succeed"), ("b", "succeed"), ("bad", "invalid")]
    assert sorted(tmp_path.glob("out/videos/*.mp4")) == sorted(Path(line["videos"][0]["path"]) for line in lines[:2])
    assert len(kling.ledger) == 2
