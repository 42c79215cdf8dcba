"""A batch that runs again, after a retry, a clear or a crash: it pays for nothing twice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from airflow.sdk import DAG
from batch_runs import lines, operator, paid, row, statuses, write
from places import ROOT
from task_runs import FakeAirflow

from airflow_provider_kling.batch import QUEUED


def test_a_clear_pays_nothing_and_loads_nothing_again(airflow, kling, tmp_path):
    manifest = write(tmp_path, [row(number) for number in range(30)])
    airflow.finish(operator(manifest, tmp_path / "out"))
    before = lines(tmp_path / "out")
    seen = len(kling.journal)
    airflow.try_number = 2
    assert airflow.finish(operator(manifest, tmp_path / "out")).state == "success"
    assert lines(tmp_path / "out") == before
    assert [entry["kind"] for entry in kling.journal[seen:]] == ["list"]


def test_a_video_that_is_gone_is_loaded_again(airflow, kling, tmp_path):
    manifest = write(tmp_path, [row(number) for number in range(3)])
    airflow.finish(operator(manifest, tmp_path / "out"))
    gone = Path(lines(tmp_path / "out")[1]["videos"][0]["path"])
    gone.unlink()
    airflow.try_number = 2
    airflow.finish(operator(manifest, tmp_path / "out"))
    assert gone.exists()
    assert len(kling.requests("video")) == 4
    assert len(kling.ledger) == 3


def test_a_changed_row_is_another_submission_and_the_others_are_not(airflow, kling, tmp_path):
    rows = [row(number) for number in range(4)]
    airflow.finish(operator(write(tmp_path, rows), tmp_path / "out"))
    rows[2]["image"] = "https://example.com/another.jpg"
    airflow.try_number = 2
    assert airflow.finish(operator(write(tmp_path, [row("new"), *rows]), tmp_path / "out")).state == "success"
    assert len(lines(tmp_path / "out")) == 5
    assert len(kling.ledger) == 6


def test_another_fresh_makes_other_videos(airflow, kling, tmp_path):
    manifest = write(tmp_path, [row(1)])
    airflow.finish(operator(manifest, tmp_path / "out"))
    airflow.try_number = 2
    airflow.finish(operator(manifest, tmp_path / "out", fresh="2"))
    assert len(kling.ledger) == 2


def test_ids_are_those_of_the_operator_for_one_video(airflow, kling, tmp_path):
    from airflow_provider_kling.operators import KlingEffectOperator

    airflow.finish(operator(write(tmp_path, [row(1)]), tmp_path / "out"))
    with DAG("d", schedule=None):
        single = KlingEffectOperator(task_id="batch", row_id="r1", effect_scene="squish", image="https://example.com/1.jpg")
    FakeAirflow(try_number=2).finish(single)
    assert len(kling.ledger) == 1


def test_a_failed_row_gets_one_more_task_in_each_try_unless_its_input_is_at_fault(airflow, kling, tmp_path):
    rows = [row(1), row(2, image="https://example.com/risk.jpg")]
    manifest = write(tmp_path, rows)
    kling.fail_next("Internal trouble", times=2)
    assert airflow.finish(operator(manifest, tmp_path / "out")).state == "success"
    assert statuses(tmp_path / "out") == {"r1": "failed", "r2": "failed"}
    submissions = {task["external_task_id"] for task in kling.ledger}
    kling.clear_faults()
    for number in (2, 3):
        airflow.try_number = number
        airflow.finish(operator(manifest, tmp_path / "out"))
    assert statuses(tmp_path / "out") == {"r1": "succeed", "r2": "failed"}
    later = {task["external_task_id"] for task in kling.ledger} - submissions
    assert len(kling.ledger) == 4
    assert all(submission.endswith("-2") for submission in later)


@pytest.mark.integration
def test_deep_in_a_long_list_rows_are_found_with_few_requests(airflow, kling, tmp_path):
    """Other tasks have pushed those of the batch off the first page of the list."""
    kling.configure(slots=3000, duration=0)
    manifest = write(tmp_path, [row(number) for number in range(300)])
    assert airflow.finish(operator(manifest, tmp_path / "out", save_to=None)).state == "success"
    other = FakeAirflow(run_id="other")
    more = write(tmp_path, [row(number) for number in range(700)], "more.jsonl")
    assert other.finish(operator(more, tmp_path / "more", save_to=None)).state == "success"
    (tmp_path / "out" / "results.jsonl").unlink()
    since = len(kling.journal)
    airflow.try_number = 2
    assert airflow.finish(operator(manifest, tmp_path / "out", save_to=None)).state == "success"
    assert statuses(tmp_path / "out") == {f"r{number}": "succeed" for number in range(300)}
    kinds = [entry["kind"] for entry in kling.journal[since:]]
    assert len(kling.ledger) == 1000
    assert kinds.count("get") <= QUEUED
    assert kinds.count("list") <= 4


# --- Crashes

ENGINE = """
import os, sys, time
os.environ.update(AIRFLOW__CORE__UNIT_TEST_MODE="True", AIRFLOW_HOME=sys.argv[3])
import asyncio
from airflow_provider_kling import batch
from airflow_provider_kling.manifests import ManifestFile
job = batch.BatchJob(manifest=sys.argv[1], results=sys.argv[2], save_to=sys.argv[2], dag_id="d", run_id="scheduled__2026-01-01",
                     task_id="batch", kling_conn_id="kling_default", deadline=time.time() + 60, poll_interval=0.2)
with ManifestFile(job.manifest) as manifest, batch.Spool() as outcomes:
    asyncio.run(batch.run(job, manifest.rows(), count=60, outcomes=outcomes, adopt_existing=False, log=print))
"""


@pytest.mark.integration
@pytest.mark.kling_emulator(slots=10, duration=1)
@pytest.mark.parametrize("creates", [1, 17])
def test_killed_in_the_middle_every_row_is_paid_once(airflow, kling, tmp_path, creates):
    manifest = write(tmp_path, [row(number) for number in range(60)])
    arguments = [sys.executable, "-c", ENGINE, manifest, str(tmp_path / "out"), str(tmp_path / "home")]
    process = subprocess.Popen(arguments, cwd=ROOT, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(kling.ledger) < creates:
        assert process.poll() is None, process.stderr.read().decode()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()
    kling.configure(duration=0.2)
    airflow.try_number = 2
    assert airflow.finish(operator(manifest, tmp_path / "out")).state == "success"
    assert set(statuses(tmp_path / "out").values()) == {"succeed"}
    assert len(kling.ledger) == 60
    assert set(paid(kling).values()) == {1}
