"""KlingEffectBatchOperator through Airflow's real task runner, against the emulator: a manifest in one task."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem
from places import PHOTOS, ROOT
from task_runs import FakeAirflow, fire

from airflow_provider_kling.batch import Spool, in_shard, limit_of, shard_of
from airflow_provider_kling.batch import engine as batch
from airflow_provider_kling.batch.progress import RUNNING, WAITING, Progress
from airflow_provider_kling.dispatch import durations as pace
from airflow_provider_kling.errors import KlingError, KlingInputError, KlingTimeoutError
from airflow_provider_kling.manifests import Row, images, parse_rows
from airflow_provider_kling.operators import KlingEffectBatchOperator
from airflow_provider_kling.results import opened


@pytest.fixture
def airflow():
    return FakeAirflow()


@pytest.fixture
def kling(kling, monkeypatch):
    """Many videos: the emulator is not to make each one anew. They take no time, so they are looked at soon."""
    monkeypatch.setattr(pace, "FIRST_LOOK", 0.2)
    kling.configure(videos="clip")
    return kling


def row(number: int | str, **columns) -> dict:
    return {"id": f"r{number}", "effect_scene": "squish", "image": f"https://example.com/{number}.jpg", **columns}


def write(folder: Path, rows: list[dict], name: str = "manifest.jsonl") -> str:
    (folder / name).write_text("".join(f"{json.dumps(line)}\n" for line in rows))
    return str(folder / name)


def operator(manifest: str, results: Path | str, **kwargs) -> KlingEffectBatchOperator:
    with DAG("d", schedule=None):
        return KlingEffectBatchOperator(
            task_id="batch", manifest=manifest, results=str(results), **{"poll_interval": 0.1, **kwargs}
        )


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def statuses(folder: Path) -> dict[str, str]:
    return {line["id"]: line["status"] for line in lines(folder)}


def paid(kling) -> dict[str, int]:
    """How many tasks there are for each submission."""
    ids = [task["external_task_id"] for task in kling.ledger]
    return {submission: ids.count(submission) for submission in ids}


# --- A manifest in, results out


def test_a_manifest_becomes_videos_results_and_a_report(airflow, kling, tmp_path):
    manifest = write(tmp_path, [row(number, note=f"n{number}") for number in range(20)])
    run = airflow.finish(operator(manifest, tmp_path / "out"))
    assert run.state == "success", run.error
    assert [line["id"] for line in lines(tmp_path / "out")] == [f"r{number}" for number in range(20)]
    assert statuses(tmp_path / "out") == {f"r{number}": "succeed" for number in range(20)}
    assert lines(tmp_path / "out")[3]["note"] == "n3"
    assert airflow.result == {
        "rows": 20, "succeed": 20, "failed": 0, "invalid": 0, "error": 0, "units": "50.0", "videos": 20,
        "results": str(tmp_path / "out" / "results.jsonl"), "report": str(tmp_path / "out" / "report.html"),
    }  # fmt: skip
    assert (tmp_path / "out" / "report.html").read_text().count("<article") == 20
    for line in lines(tmp_path / "out"):
        (video,) = line["videos"]
        assert Path(video["path"]).parent == tmp_path / "out" / "videos"
        assert Path(video["path"]).read_bytes()[4:8] == b"ftyp"
    assert len(kling.ledger) == 20
    assert airflow.xcoms["summary"] == airflow.result


def test_every_kind_of_image_and_of_row(airflow, kling, photo, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(Path(photo).read_bytes())
    (tmp_path / "text.jpg").write_text("no image")
    inline = base64.b64encode((PHOTOS / "china.jpg").read_bytes()).decode()
    rows = [
        row("url"),
        row("file", image="photos/a.jpg"),
        row("inline", image=inline),
        row("dual", effect_scene="hug_pro", image=None, image_1="photos/a.jpg", image_2="https://example.com/b.jpg"),
        row("text", image="text.jpg"),
        row("gone", image="gone.jpg"),
        row("few", effect_scene="hug_pro"),
        row("risky", image="https://example.com/risk.jpg"),
        row("empty", image=""),
    ]
    run = airflow.finish(operator(write(tmp_path, rows), tmp_path / "out"))
    assert run.state == "success", run.error
    assert statuses(tmp_path / "out") == {
        "rurl": "succeed", "rfile": "succeed", "rinline": "succeed", "rdual": "succeed", "rtext": "invalid",
        "rgone": "invalid", "rfew": "invalid", "rrisky": "failed", "rempty": "invalid",
    }  # fmt: skip
    assert len(kling.ledger) == 5
    written = (tmp_path / "out" / "results.jsonl").read_text() + (tmp_path / "out" / "report.html").read_text()
    assert inline[:100] not in written
    assert inline[:100] not in json.dumps(airflow.xcoms)


def test_save_to_none_saves_no_video(airflow, kling, tmp_path):
    airflow.finish(operator(write(tmp_path, [row(1)]), tmp_path / "out", save_to=None))
    (line,) = lines(tmp_path / "out")
    assert line["status"] == "succeed"
    assert line["videos"][0]["path"] is None
    assert kling.requests("video") == []


def test_videos_go_where_they_are_wanted(airflow, kling, tmp_path):
    airflow.finish(operator(write(tmp_path, [row(1)]), tmp_path / "out", save_to=str(tmp_path / "films")))
    assert len(list((tmp_path / "films").glob("*.mp4"))) == 1


def test_a_shard_has_its_rows_and_all_shards_have_all(airflow, kling, tmp_path):
    manifest = write(tmp_path, [row(number) for number in range(10)])
    seen = []
    for shard in ("1/3", (2, 3), "3/3"):
        out = tmp_path / f"out-{shard[0]}"
        assert airflow.finish(operator(manifest, out, shard=shard)).state == "success"
        seen += list(statuses(out))
    assert sorted(seen) == [f"r{number}" for number in range(10)]
    assert len(kling.ledger) == 10
    assert shard_of("3/3") == shard_of((0, 3))
    with pytest.raises(KlingInputError, match="shard is '4/3'"):
        shard_of("4/3")


def test_a_manifest_that_is_broken_at_its_end_spends_nothing(airflow, kling, tmp_path):
    path = tmp_path / "m.csv"
    path.write_bytes(b"id,effect_scene,image\na,squish,https://example.com/a.jpg\nb,squish,\xe9\n")
    run = airflow.finish(operator(str(path), tmp_path / "out"))
    assert isinstance(run.error, AirflowFailException)
    assert "not UTF-8" in str(run.error)
    assert kling.ledger == []


def test_bad_parameters_spend_nothing(kling, tmp_path):
    manifest = write(tmp_path, [row(1)])
    for wrong in ({"shard": "x"}, {"max_failures": -1}, {"downloads": 0}, {"max_concurrency": 0}, {"timeout": 0}):
        run = FakeAirflow().finish(operator(manifest, tmp_path / "out", **wrong))
        assert isinstance(run.error, AirflowFailException), wrong
        assert next(iter(wrong)) in str(run.error)
    assert kling.ledger == []


# --- How it ends


def test_failed_rows_leave_the_task_green_unless_there_are_too_many(kling, tmp_path):
    rows = [row(1), row(2, image="https://example.com/risk.jpg"), row(3, image=""), row(4)]
    manifest = write(tmp_path, rows)
    assert FakeAirflow().finish(operator(manifest, tmp_path / "a")).state == "success"
    assert FakeAirflow(try_number=2).finish(operator(manifest, tmp_path / "b", max_failures=2)).state == "success"
    assert FakeAirflow(try_number=2).finish(operator(manifest, tmp_path / "b", max_failures="{{ 0.5 }}")).state == "success"
    for limit in (1, 0.25, "25%"):
        airflow = FakeAirflow(try_number=2)
        run = airflow.finish(operator(manifest, tmp_path / "c", max_failures=limit))
        assert isinstance(run.error, AirflowFailException)
        assert "2 of 4 rows have no video, which is more than max_failures=1" in str(run.error)
        assert len(lines(tmp_path / "c")) == 4
        assert airflow.xcoms["summary"]["succeed"] == 2
    assert len(kling.ledger) == 3


def test_limits_are_numbers_or_fractions():
    assert [limit_of(value, 200) for value in (None, "", "None", 7, "7", 0.05, "0.05", "5%", 0, 1.0)] == [
        None, None, None, 7, 7, 10, 10, 10, 0, 200
    ]  # fmt: skip
    for wrong in ("many", -1, 1.5, True, "150%"):
        with pytest.raises(KlingInputError, match="max_failures is"):
            limit_of(wrong, 200)


@pytest.mark.kling_emulator(duration=600)
def test_the_timeout_says_what_still_runs_and_a_retry_takes_it(airflow, kling, tmp_path):
    kling.configure(slots=3)
    manifest = write(tmp_path, [row(number) for number in range(5)])
    run = airflow.finish(operator(manifest, tmp_path / "out", timeout=3))
    assert isinstance(run.error, KlingTimeoutError)
    assert run.state == "failed"
    assert "3 still run at Kling and will be charged, 2 were not asked for" in str(run.error)
    assert set(statuses(tmp_path / "out").values()) == {"error"}
    kling.configure(duration=0.2)
    kling.finish()
    airflow.try_number = 2
    assert airflow.finish(operator(manifest, tmp_path / "out", timeout=60)).state == "success"
    assert set(statuses(tmp_path / "out").values()) == {"succeed"}
    assert set(paid(kling).values()) == {1}
    assert len(kling.ledger) == 5


def test_a_broken_account_ends_it_with_the_reason_after_results(airflow, kling, tmp_path):
    kling.fault(1102, on="create", skip=2, times=None)
    run = airflow.finish(operator(write(tmp_path, [row(number) for number in range(200)]), tmp_path / "out"))
    assert isinstance(run.error, AirflowFailException)
    assert "1102" in str(run.error)
    counts = list(statuses(tmp_path / "out").values())
    assert (counts.count("succeed"), counts.count("error")) == (2, 198)
    assert len(kling.requests("create")) < 70


def test_a_wrong_key_ends_it_at_once(airflow, kling, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps({"conn_type": "kling", "password": "no", "host": kling.url}))
    run = airflow.finish(operator(write(tmp_path, [row(number) for number in range(100)]), tmp_path / "out"))
    assert isinstance(run.error, AirflowFailException)
    assert len(kling.journal) < 70
    assert FakeAirflow(try_number=2).finish(operator(str(tmp_path / "manifest.jsonl"), tmp_path / "out")).state == "failed"


@pytest.mark.kling_emulator(slots=5, duration=0.5)
def test_a_quota_is_kept_full_with_few_refusals(airflow, kling, tmp_path):
    manifest = write(tmp_path, [row(number) for number in range(60)])
    assert airflow.finish(operator(manifest, tmp_path / "out")).state == "success"
    assert max(used for _, used in kling.slot_use) == 5
    assert kling.state["answers"].get("create 1303", 0) < 12
    assert set(paid(kling).values()) == {1}


@pytest.mark.kling_emulator(slots=50, duration=0.3)
def test_max_concurrency_bounds_what_runs_at_kling(airflow, kling, tmp_path):
    manifest = write(tmp_path, [row(number) for number in range(12)])
    assert airflow.finish(operator(manifest, tmp_path / "out", max_concurrency=3)).state == "success"
    assert max(used for _, used in kling.slot_use) == 3


def test_passing_faults_fail_no_row(airflow, kling, tmp_path):
    for what in (1303, 500, "drop", "html"):
        for kind in ("create", "get", "list"):
            kling.fault(what, on=kind, rate=0.1, times=10)
    manifest = write(tmp_path, [row(number) for number in range(30)])
    assert airflow.finish(operator(manifest, tmp_path / "out")).state == "success"
    assert set(statuses(tmp_path / "out").values()) == {"succeed"}
    assert set(paid(kling).values()) == {1}


def test_what_may_pass_is_tried_again_as_long_as_there_are_retries(airflow, kling, tmp_path):
    manifest = write(tmp_path, [row(1), row(2)])
    (tmp_path / "films").write_text("a file where a folder is wanted")
    task = operator(manifest, tmp_path / "out", save_to=str(tmp_path / "films"), retries=1)
    airflow.max_tries = 1
    run = airflow.finish(task)
    assert run.state == "up_for_retry"
    assert "2 rows have errors that may pass" in str(run.error)
    (tmp_path / "films").unlink()
    airflow.try_number = 2
    assert airflow.finish(task).state == "success"
    assert set(statuses(tmp_path / "out").values()) == {"succeed"}
    assert len(kling.ledger) == 2


# --- Again


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


def test_a_changed_row_is_another_wish_and_the_others_are_not(airflow, kling, tmp_path):
    rows = [row(number) for number in range(4)]
    airflow.finish(operator(write(tmp_path, rows), tmp_path / "out"))
    rows[2]["image"] = "https://example.com/another.jpg"
    airflow.try_number = 2
    assert airflow.finish(operator(write(tmp_path, [row("new"), *rows]), tmp_path / "out")).state == "success"
    assert len(lines(tmp_path / "out")) == 5
    assert len(kling.ledger) == 6


def test_fresh_asks_for_other_videos(airflow, kling, tmp_path):
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


def test_a_failed_row_is_asked_for_once_more_in_each_try_unless_the_input_is_at_fault(airflow, kling, tmp_path):
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


def test_deep_in_a_long_list_rows_are_found_in_few_looks(airflow, kling, tmp_path):
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
    assert kinds.count("get") <= batch.QUEUED
    assert kinds.count("list") <= 4


# --- Crashes

ENGINE = """
import os, sys, time
os.environ.update(AIRFLOW__CORE__UNIT_TEST_MODE="True", AIRFLOW_HOME=sys.argv[3])
from airflow_provider_kling.batch import engine as batch
from airflow_provider_kling.results import opened
from airflow_provider_kling.batch import BatchJob
from airflow_provider_kling.batch import Spool
import asyncio
job = BatchJob(manifest=sys.argv[1], results=sys.argv[2], save_to=sys.argv[2], dag_id="d", run_id="scheduled__2026-01-01",
          task_id="batch", kling_conn_id="kling_default", deadline=time.time() + 60, poll_interval=0.2)
with opened(job.manifest) as rows, Spool() as outcomes:
    asyncio.run(batch.run(job, rows(None), count=60, outcomes=outcomes, adopt_existing=False, say=print))
"""


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


# --- In the triggerer


@pytest.fixture
def store(monkeypatch):
    """An object store that another machine has as well."""
    attach("memory", fs=MemoryFileSystem())
    monkeypatch.setattr(images, "_HERE_ONLY", frozenset({"file", "local"}))
    yield f"memory://{uuid.uuid4().hex}"
    MemoryFileSystem.store.clear()


def put(uri: str, text: str | bytes) -> str:
    from airflow_provider_kling.storage import storage_path

    storage_path(uri).write_bytes(text if isinstance(text, bytes) else text.encode())
    return uri


def stored(uri: str) -> list[dict]:
    from airflow_provider_kling.storage import storage_path

    return [json.loads(line) for line in storage_path(f"{uri}/results.jsonl").read_text().splitlines()]


def test_deferred_the_triggerer_creates_and_a_worker_saves(airflow, kling, photo, store):
    put(f"{store}/in/photos/a.jpg", Path(photo).read_bytes())
    inline = base64.b64encode((PHOTOS / "china.jpg").read_bytes()).decode()
    rows = [row(1), row(2, image="photos/a.jpg"), row(3, image=photo), row(4, image=""), row(5, image=inline)]
    manifest = put(f"{store}/in/m.jsonl", "".join(f"{json.dumps(line)}\n" for line in rows))
    task = operator(manifest, f"{store}/out", deferrable=True)
    run = airflow.run(task)
    assert run.state == "deferred"
    assert kling.ledger == []
    assert len(json.dumps(run.trigger)) < 1500
    event = fire(run)
    assert event["batch"] == {"succeed": 3, "invalid": 1, "running": 0, "left": 1}
    assert len(kling.ledger) == 3
    assert kling.requests("video") == []
    run = airflow.run(task, event=event)
    assert run.state == "success", run.error
    assert [(line["id"], line["status"]) for line in stored(f"{store}/out")] == [
        ("r1", "succeed"), ("r2", "succeed"), ("r3", "succeed"), ("r4", "invalid"), ("r5", "succeed")
    ]  # fmt: skip
    assert len(kling.ledger) == 4
    assert len(kling.requests("video")) == 4
    # Before Airflow 3.2 a URI of this store is written with a slash more.
    assert airflow.result["results"].replace("memory:///", "memory://") == f"{store}/out/results.jsonl"


def test_a_trigger_that_starts_again_pays_nothing_and_asks_no_failed_row_again(airflow, kling, store):
    kling.configure(slots=10)  # so that none is refused, and each request for a task makes one
    manifest = put(f"{store}/in/m.jsonl", "".join(f"{json.dumps(row(number))}\n" for number in range(10)))
    kling.fail_next("Internal trouble", times=1)
    task = operator(manifest, f"{store}/out", deferrable=True)
    run = airflow.run(task)
    first = fire(run)
    assert fire(run) == first
    assert len(kling.ledger) == len(kling.requests("create")) == 10
    assert airflow.run(task, event=first).state == "success"
    assert len(kling.ledger) == 10


@pytest.mark.kling_emulator(duration=600)
def test_a_timeout_in_the_triggerer_is_one_on_the_worker(airflow, kling, store):
    kling.configure(slots=2)
    manifest = put(f"{store}/m.jsonl", "".join(f"{json.dumps(row(number))}\n" for number in range(4)))
    run = airflow.finish(operator(manifest, f"{store}/out", deferrable=True, timeout=3))
    assert isinstance(run.error, KlingTimeoutError)
    assert "2 still run at Kling" in str(run.error)
    assert len(kling.ledger) == 2
    assert len(stored(f"{store}/out")) == 4


@pytest.mark.parametrize(
    "event", [None, {}, {"task": {}}, {"batch": 3}, {"batch": {}, "deadline": "soon"}, "success", {"state": "ok"}]
)
def test_an_unknown_event_is_no_success(airflow, kling, tmp_path, event):
    task = operator(write(tmp_path, [row(1)]), tmp_path / "out")
    with pytest.raises(KlingError):
        task.execute_complete({"ti": _Ti()}, event)
    assert kling.ledger == []


class _Ti:
    def xcom_push(self, *, key, value):
        pass


def test_an_error_in_the_triggerer_is_one_of_the_task(airflow, kling, store):
    manifest = put(f"{store}/m.jsonl", json.dumps(row(1)))
    task = operator(manifest, f"{store}/out", deferrable=True)
    run = airflow.run(task)
    MemoryFileSystem.store.clear()
    event = fire(run)
    assert event["invalid"] is True
    assert isinstance(airflow.run(task, event=event).error, AirflowFailException)


def test_local_files_are_done_on_the_worker_with_a_word(airflow, kling, tmp_path, capsys):
    manifest = write(tmp_path, [row(1)])
    run = airflow.finish(operator(manifest, tmp_path / "out", deferrable=True))
    assert run.state == "success"
    assert f"Not deferred, this worker does it all: manifest '{manifest}' and results" in capsys.readouterr().out
    assert len(kling.ledger) == 1


def test_files_in_a_shared_folder_are_the_triggerers_too(airflow, kling, tmp_path, photo, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__SHARED_FOLDERS", str(tmp_path))
    (tmp_path / "a.jpg").write_bytes(Path(photo).read_bytes())
    manifest = write(tmp_path, [row(1), row(2, image="a.jpg"), row(3, image=photo)])
    task = operator(manifest, tmp_path / "out", deferrable=True)
    run = airflow.run(task)
    event = fire(run)
    assert event["batch"] == {"succeed": 2, "running": 0, "left": 1}
    assert airflow.run(task, event=event).state == "success"
    assert len(kling.ledger) == 3


# --- Streams


def test_rows_are_read_as_they_are_begun(kling):
    """However long the manifest, only so many rows are read ahead."""
    read = 0

    def counted():
        nonlocal read
        for number in range(3000):
            read += 1
            yield b'{"effect_scene": "squish", "image": "https://example.com/%d.jpg"}\n' % number

    kling.configure(slots=2, duration=60)
    rows = parse_rows(counted(), name="m.jsonl")
    job = batch.BatchJob(
        manifest="m.jsonl",
        results="none",
        dag_id="d",
        run_id="r",
        task_id="t",
        kling_conn_id="kling_default",
        deadline=time.time() + 60,
    )

    async def some_seconds():
        with Spool() as outcomes:
            work = batch.run(job, rows, count=3000, outcomes=outcomes, adopt_existing=False, say=print)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(work, 2)

    asyncio.run(some_seconds())
    assert len(kling.ledger) == 2
    assert read <= 2 + batch.QUEUED + 2 * batch.CHUNK


@pytest.mark.kling_emulator(slots=30, duration=60)
def test_images_written_out_in_the_manifest_are_not_held_while_their_tasks_run(kling, tmp_path):
    image = base64.b64encode((PHOTOS / "china.jpg").read_bytes()).decode()
    manifest = write(tmp_path, [row(number, image=image) for number in range(24)])
    job = batch.BatchJob(
        manifest=manifest,
        results=str(tmp_path / "out"),
        dag_id="d",
        run_id="r",
        task_id="t",
        kling_conn_id="kling_default",
        deadline=time.time() + 60,
    )

    async def until_all_run(rows, outcomes):
        work = asyncio.create_task(batch.run(job, rows, count=24, outcomes=outcomes, adopt_existing=False, say=print))
        while len(await asyncio.to_thread(lambda: kling.ledger)) < 24:
            assert not work.done()
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.3)
        gc.collect()
        held = [held for held in gc.get_objects() if type(held) is Row and any(len(text) > 1000 for text in held.images)]
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        return len(held)

    with opened(manifest) as rows, Spool() as outcomes:
        assert asyncio.run(until_all_run(rows(None), outcomes)) <= 5  # those of the last chunk that was read


def test_a_spool_keeps_the_last_value_of_each_key():
    with Spool() as spool:
        for number in range(1000):
            spool.put(number % 100, {"n": number})
        assert len(spool) == 100
        assert spool.get(7) == {"n": 907}
        assert spool.get("none") is None


def test_progress_is_one_line():
    now = 0.0
    progress = Progress(rows=1000, clock=lambda: now)
    for place in [WAITING] * 10 + [RUNNING] * 12:
        progress.move(None, place)
    for _ in range(95):
        progress.end("succeed", units=batch.Decimal("2.5"))
    for status in ("failed", "invalid", "error"):
        progress.end(status)
    now = 180.0
    assert progress.news() == (
        "120 of 1,000 rows: 95 succeeded, 3 failed, 12 running, 10 waiting; 237.5 units; 32 videos a minute, about 28 min left."
    )
    assert progress.news() == ""
    assert progress.pause == 10
    now = 7200.0
    assert progress.pause == 60


def test_rows_of_all_shards_are_all_rows():
    rows = list(parse_rows((b'{"effect_scene": "squish", "image": "a.jpg"}\n' for _ in range(100)), name="m.jsonl"))
    parts = [list(in_shard(rows, f"{index}/7")) for index in range(7)]
    assert sorted(row.number for part in parts for row in part) == list(range(1, 101))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
