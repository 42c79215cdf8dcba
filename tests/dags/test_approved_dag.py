"""The sample DAG whose videos a person approves, task by task."""

from __future__ import annotations

import json
import runpy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from batch_manifests import results_of, write_rows
from places import ROOT
from task_runs import FakeAirflow, httpx

from airflow_provider_kling.prices import fix_price


def task_of(task_id: str, **params: Any) -> Any:
    """A task of the DAG, whose params have these values."""
    dag: DAG = runpy.run_path(str(ROOT / "dags" / "kling_effects_approved.py"))["kling_effects_approved"]()
    task = dag.get_task(task_id)
    for name, value in params.items():
        dag.params[name] = value
        if task_id != "approve" or name in task.params:  # its own params are the fields of its form
            task.params[name] = value
    return task


@dataclass
class Run(FakeAirflow):
    """A run in which the task `plan` has left its plan. Keeps the questions that are asked."""

    plan: dict[str, Any] = field(default_factory=dict)
    questions: list[dict[str, Any]] = field(default_factory=list)

    def _respond(self, request: Any) -> Any:
        path = request.url.path
        if path.startswith("/hitlDetails/"):
            self.questions.append(json.loads(request.content))
            return httpx.Response(201, content=request.content)
        if request.method == "GET" and "/xcoms/" in path and "/plan/" in path:
            one = {"key": "return_value", "value": self.plan}
            return httpx.Response(200, json=[self.plan] if path.endswith("/slice") else one)
        return super()._respond(request)


@pytest.mark.kling_emulator(duration=0.2, videos="clip", costs_interval=0.0)
def test_what_is_approved_is_made_and_no_more(kling, polled_early, tmp_path: Path):
    bad = {"id": "gone {{ conn.kling_default.password }} `x` | y", "effect_scene": "squish", "image": "gone.jpg"}
    manifest, out = write_rows(tmp_path, 3, bad), tmp_path / "out"
    fix_price(str(out / "prices.json"), "squish", "2.5")
    params = {"manifest": manifest, "output": str(out), "max_units": None, "kling_conn_id": "kling_default"}
    airflow = FakeAirflow()
    assert airflow.run(task_of("plan", **params)).state == "success"
    plan = airflow.result
    json.dumps(plan)
    assert (plan["videos"], plan["cost"]["known"], kling.ledger) == (3, "7.5", [])

    run = Run(plan=plan)
    asking = run.run(task_of("approve", **params))
    assert (asking.state, asking.error) in (("awaiting_input", None), ("deferred", None))  # deferred before Airflow 3.3
    (question,) = (asked["body"] for asked in run.questions)
    assert "**3 videos** of 4 rows" in question
    assert "**Cost:** 7.5 units." in question
    assert "| `squish` | 3 | 7.5 |" in question
    assert "- `` gone {{ conn.kling_default.password }} `x` ¦ y ``: `" in question
    assert "no such file on this machine" in question

    write_rows(tmp_path, 6, bad)  # somebody adds rows after the approval
    assert run.finish(task_of("batch", **params)).state == "success"
    summary = run.result
    assert len(kling.ledger) == 4  # as many as there were rows, the one included that could not be read
    assert [line["status"] for line in results_of(out)].count("capped") == 3

    report = runpy.run_path(str(ROOT / "dags" / "kling_effects_approved.py"))["compare"](plan, summary)
    assert report == {
        "planned_videos": 3,
        "videos": 4,
        "planned_units": "7.5",
        "planned_at_most": "7.5",
        "units": "10",
        "within_plan": False,
        "report": str(out / "report.html"),
    }


def test_without_a_video_nobody_is_asked():
    run = Run(plan={"videos": 0, "counts": {"made": 0}})
    assert run.run(task_of("approve", manifest="m", output="o")).state == "skipped"
    assert run.questions == []


def test_nothing_is_made_but_after_an_answer():
    assert task_of("batch").upstream_task_ids == {"approve"}
    approve = task_of("approve")
    assert (approve.upstream_task_ids, approve.defaults, approve.options) == ({"plan"}, ["Reject"], ["Approve", "Reject"])
    assert (approve.execution_timeout, task_of("report").upstream_task_ids) == (None, {"plan", "batch"})
    assert approve.response_timeout.days == 3
