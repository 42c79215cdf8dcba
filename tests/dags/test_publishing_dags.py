"""The sample DAGs that publish, task by task; tests/stack runs them in a whole Airflow."""

from __future__ import annotations

import json
import runpy
from typing import Any

import pytest
from airflow.sdk import DAG, Asset
from hostile import mp4
from places import ROOT
from task_runs import FakeAirflow


def dag_of(dag_id: str) -> DAG:
    return runpy.run_path(str(ROOT / "dags" / f"{dag_id}.py"))[dag_id]()


def with_params(dag: DAG, task_id: str, **params: str) -> Any:
    """A task of the DAG, whose params have these values."""
    task = dag.get_task(task_id)
    for name, value in params.items():
        dag.params[name] = task.params[name] = value
    return task


def test_older_results_are_published_by_hand(tmp_path, monkeypatch):
    video = tmp_path / "a.mp4"
    video.write_bytes(mp4())
    line = {"id": "a", "status": "succeed", "kling_task_id": "1", "videos": [{"url": "https://x/a.mp4", "path": str(video)}]}
    (tmp_path / "results.jsonl").write_text(json.dumps(line))
    monkeypatch.setenv("AIRFLOW_VAR_KLING_PUBLISHED", str(tmp_path / "shop"))
    for published in (1, 0):
        airflow = FakeAirflow()
        task = with_params(dag_of("kling_effects_published"), "publish", results=str(tmp_path / "results.jsonl"))
        assert airflow.run(task).state == "success"
        assert airflow.result["published"] == published
    assert (tmp_path / "shop" / "a.mp4").read_bytes() == mp4()


@pytest.mark.parametrize(("dag_id", "task_id"), [("kling_effects_published", "publish"), ("kling_effects_reviewed", "prepare")])
@pytest.mark.parametrize("folder", ["", "file"])
def test_without_a_folder_to_publish_to_nothing_begins(tmp_path, monkeypatch, dag_id, task_id, folder):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AIRFLOW_VAR_KLING_PUBLISHED", str(tmp_path / folder) if folder else "")
    dag = dag_of(dag_id)
    run = FakeAirflow().run(with_params(dag, task_id, **{name: "x" for name in ("manifest", "output") if name in dag.params}))
    assert run.state == "failed"
    assert ("nothing can be written to" if folder else "There is no folder to publish to: set the") in str(run.error)


def test_the_producer_and_its_consumer_mean_the_same_asset():
    (asset,) = dag_of("kling_effects_batch").get_task("batch").outlets
    assert asset == Asset("kling_videos")
    schedule: Any = dag_of("kling_effects_published").schedule
    assert asset in (schedule, *getattr(schedule, "objects", ()), *getattr(schedule, "assets", ()))


def test_a_video_is_made_again_under_another_id_than_before():
    """The external id depends on the task and on `fresh`, and on nothing that a retry or a clear changes."""
    dag = dag_of("kling_effects_reviewed")
    first, again = dag.get_task("videos"), dag.get_task("videos_again")
    assert (first.fresh, again.fresh) == (None, "again")
    assert again.upstream_task_ids == {"reject"}
    assert dag.get_task("reject").upstream_task_ids == {"decide", "videos"}
    assert first.upstream_task_ids == {"prepare"}  # nothing is paid before there is a place to publish to


def test_nothing_is_published_but_after_a_decision():
    dag = dag_of("kling_effects_reviewed")
    assert "decide" in dag.get_task("publish").upstream_task_ids
    assert {"decide", "decide_again"} <= dag.get_task("publish_again").upstream_task_ids
    for task_id in ("review", "review_again"):
        assert dag.get_task(task_id).defaults == ["Reject"]
