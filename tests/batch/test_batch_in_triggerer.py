"""A deferred batch: the triggerer creates and waits, a worker saves the videos and writes the results."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from batch_runs import operator, row, write
from fsspec.implementations.memory import MemoryFileSystem
from places import PHOTOS
from task_runs import fire

from airflow_provider_kling.errors import KlingError, KlingInputError, KlingTimeoutError


def put(uri: str, text: str | bytes) -> str:
    from airflow_provider_kling.object_paths import storage_path

    storage_path(uri).write_bytes(text if isinstance(text, bytes) else text.encode())
    return uri


def stored(uri: str) -> list[dict]:
    from airflow_provider_kling.object_paths import storage_path

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


def test_a_trigger_that_starts_again_pays_nothing_and_repeats_no_failed_row(airflow, kling, store):
    kling.configure(slots=10)  # so that no create is refused, and each one makes a task
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
def test_a_timeout_in_the_triggerer_fails_the_task_on_the_worker(airflow, kling, store):
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


def test_an_error_in_the_triggerer_fails_the_task(airflow, kling, store):
    manifest = put(f"{store}/m.jsonl", json.dumps(row(1)))
    task = operator(manifest, f"{store}/out", deferrable=True)
    run = airflow.run(task)
    MemoryFileSystem.store.clear()
    event = fire(run)
    assert event["invalid"] is True
    error = airflow.run(task, event=event).error
    assert isinstance(error, KlingInputError)  # Airflow's retries apply: the file may still come
    assert "m.jsonl does not exist" in str(error)


def test_a_manifest_on_the_workers_disk_is_not_deferred_and_a_warning_says_why(airflow, kling, tmp_path, capsys):
    manifest = write(tmp_path, [row(1)])
    run = airflow.finish(operator(manifest, tmp_path / "out", deferrable=True))
    assert run.state == "success"
    assert f"Not deferred, this worker does it all: manifest '{manifest}' and results" in capsys.readouterr().out
    assert len(kling.ledger) == 1


def test_files_in_a_shared_folder_are_read_by_the_triggerer(airflow, kling, tmp_path, photo, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__SHARED_FOLDERS", str(tmp_path))
    (tmp_path / "a.jpg").write_bytes(Path(photo).read_bytes())
    manifest = write(tmp_path, [row(1), row(2, image="a.jpg"), row(3, image=photo)])
    task = operator(manifest, tmp_path / "out", deferrable=True)
    run = airflow.run(task)
    event = fire(run)
    assert event["batch"] == {"succeed": 2, "running": 0, "left": 1}
    assert airflow.run(task, event=event).state == "success"
    assert len(kling.ledger) == 3
