"""Where results are found, and which run they come from."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path

import pytest
from airflow.sdk import DAG, task
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem
from task_runs import FakeAirflow

from airflow_provider_kling.errors import KlingError, KlingInputError
from airflow_provider_kling.object_paths import storage_path
from airflow_provider_kling.reconciling import check_sources, known_tasks

SINCE = datetime(2026, 1, 1, tzinfo=timezone.utc)


def write(folder: Path, *task_ids: str, origin: tuple[str, str] | None = None, **columns: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"id": f"r{task_id}", **columns, "status": "succeed", "kling_task_id": task_id, "videos": [{"url": "u"}], "error": None}
        for task_id in task_ids
    ]
    (folder / "results.jsonl").write_text("\n".join(map(json.dumps, lines)))
    if origin:
        (folder / "run.json").write_text(json.dumps(dict(zip(("dag_id", "run_id"), origin, strict=True))))
    return folder


def found(*sources, since=SINCE):
    return [
        (task.kling_task_id, task.dag_id, task.run_id or task.run)
        for task in known_tasks(check_sources(list(sources)), since=since)
    ]


def test_a_folder_holds_the_results_of_all_folders_below_it_but_for_videos(tmp_path):
    write(tmp_path / "b", "2", origin=("d", "run b"))
    write(tmp_path / "a" / "dt=2026-11-01" / "shard-1-of-2", "1")
    write(tmp_path / "b" / "videos", "9")  # beside results: a folder that may hold 100,000 files
    write(tmp_path / "videos", "3")
    assert found(str(tmp_path)) == [("1", None, "shard-1-of-2"), ("2", "d", "run b"), ("3", None, "videos")]
    assert found(tmp_path / "b" / "results.jsonl", tmp_path / "videos") == [("2", "d", "run b"), ("3", None, "videos")]


def test_combined_results_lead_to_the_runs_that_they_were_collected_from(tmp_path):
    write(tmp_path / "2026-11-01", "1", origin=("d", "scheduled__1"))
    write(tmp_path, "1", run="2026-11-01")
    assert found(tmp_path / "results.jsonl") == [("1", "d", "scheduled__1")]
    # The column may be a manifest's own: no path is made of it.
    write(tmp_path / "x" / "y", "5", run="../../2026-11-01")
    assert found(tmp_path / "x") == [("5", None, "y")]


def test_a_summary_and_results_themselves_are_places_too(tmp_path):
    write(tmp_path, "1", origin=("d", "r"))
    summary = {"rows": 1, "succeed": 1, "results": str(tmp_path / "results.jsonl")}
    assert found(summary, [{"kling_task_id": "2", "row_id": "a"}]) == [("1", "d", "r"), ("2", None, None)]


def test_an_object_store_works_like_a_folder(tmp_path):
    attach("memory", fs=MemoryFileSystem())
    store = storage_path("memory://charges-of-a-bucket/out/2026-11-01")
    (store / "results.jsonl").write_text(json.dumps({"id": "r", "status": "failed", "kling_task_id": "7", "error": "no"}))
    (store / "run.json").write_text(json.dumps({"dag_id": "d", "run_id": "r"}))
    assert found("memory://charges-of-a-bucket/out") == [("7", "d", "r")]
    assert found("memory://charges-of-a-bucket/out/2026-11-01/results.jsonl") == [("7", "d", "r")]


def test_what_was_written_before_the_span_is_not_read(tmp_path, caplog):
    write(tmp_path / "old", "1")
    write(tmp_path / "new", "2")
    os.utime(tmp_path / "old" / "results.jsonl", (0, datetime(2026, 10, 1, tzinfo=timezone.utc).timestamp()))
    assert found(tmp_path, since=datetime(2026, 11, 1, tzinfo=timezone.utc)) == [("2", None, "new")]


@pytest.mark.parametrize("origin", ["", "[]", "{", '{"dag_id": 7, "run_id": "r"}', '{"dag_id": "d"}'])
def test_an_origin_that_is_none_is_left_out(tmp_path, origin):
    write(tmp_path / "a", "1")
    (tmp_path / "a" / "run.json").write_text(origin)
    assert found(tmp_path) == [("1", None, "a")]


@pytest.mark.parametrize("given_source", [7, {"path": "x"}, "{'results': 'x'}", ["a", {}], [None, 7]])
def test_what_is_no_place_of_results_is_one_sentence(given_source):
    with pytest.raises(KlingInputError, match="wanted is the path or URI of a"):
        check_sources(given_source)


def test_no_results_and_a_place_that_does_not_exist_are_two_things(tmp_path):
    assert check_sources(None) == check_sources("") == check_sources([]) == []
    with pytest.raises(KlingError, match=r"There are no results in .*nowhere: it does not exist") as caught:
        found(tmp_path / "nowhere")
    assert caught.value.may_pass  # a mount may be missing
    assert found(tmp_path) == []


def test_results_say_which_run_has_written_them(tmp_path):
    from airflow_provider_kling.mapping import write_results

    result = {"row_id": "a", "kling_task_id": "1", "status": "failed", "message": "no"}

    @task(multiple_outputs=False)
    def collect():
        return write_results(None, str(tmp_path), [result])

    with DAG("kling_mine", schedule=None):
        collected = collect()
    assert FakeAirflow(run_id="manual__1").run(next(collected.iter_references())[0]).state == "success"
    assert found(tmp_path) == [("1", "kling_mine", "manual__1")]


def test_a_batch_that_has_not_ended_is_known_by_what_it_says_of_its_progress(tmp_path):
    line = {"id": "r", "status": "running", "kling_task_id": "1", "effect_scene": "squish"}
    data = {"dag_id": "d", "run_id": "now", "lines": [line, {"id": "waits", "status": "waiting", "kling_task_id": None}, 7]}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "progress.json").write_text(json.dumps(data))
    assert found(tmp_path) == [("1", "d", "now")]
    (tmp_path / "out" / "progress.json").write_text('{"lines": ')
    assert found(tmp_path) == []
