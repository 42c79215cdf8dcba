"""What a batch says of its rows while it runs, and that this never changes what becomes of it."""

from __future__ import annotations

import json

import pytest
from airflow.sdk import DAG
from task_runs import FakeAirflow

from airflow_provider_kling.batch import snapshot as module
from airflow_provider_kling.operators import KlingEffectBatchOperator


@pytest.fixture
def quick(monkeypatch):
    """The file is written as often as the batch comes to it."""
    monkeypatch.setattr(module, "FIRST", 0.0)
    monkeypatch.setattr(module, "EVERY", 0.02)
    monkeypatch.setattr(module, "SHARE", 0)


def manifest(folder, rows):
    lines = [{"id": f"r{n}", "effect_scene": "squish", "image": f"https://example.com/{n}.jpg"} for n in range(rows)]
    lines.append({"id": "bad", "effect_scene": "squish"})
    (folder / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return str(folder / "m.jsonl")


def batch(folder, rows=4, **arguments):
    with DAG("d", schedule=None):
        return KlingEffectBatchOperator(
            task_id="batch", manifest=manifest(folder, rows), results=str(folder / "out"), poll_interval=0.05, **arguments
        )


@pytest.fixture
def snapshots(monkeypatch):
    """All that was written, in its order; it is written as well."""
    written = []
    write = module.Snapshot._write

    def keep(self, data):
        written.append(json.loads(json.dumps(data, default=str)))
        write(self, data)

    monkeypatch.setattr(module.Snapshot, "_write", keep)
    return written


def test_rows_go_from_waiting_by_running_to_their_results(kling, quick, snapshots, tmp_path):
    airflow = FakeAirflow()
    kling.configure(duration=0.6)
    assert airflow.run(batch(tmp_path)).state == "success"
    assert {one["rows"] for one in snapshots} == {5}
    assert all(sum(one["counts"].values()) == 5 for one in snapshots)
    running = [line for one in snapshots for line in one["lines"] if line["status"] == "running"]
    assert running
    assert {line["kling_task_id"] for line in running if line["kling_task_id"]} <= {task["kling_task_id"] for task in kling.ledger}
    assert any(one["running_in"].get("kling_default") for one in snapshots)
    (bad,) = [line for line in snapshots[-1]["lines"] if line["id"] == "bad"]
    assert bad["status"] == "invalid"
    assert (snapshots[0]["dag_id"], snapshots[0]["run_id"], snapshots[0]["task_id"]) == ("d", airflow.run_id, "batch")
    assert not (tmp_path / "out" / "progress.json").exists()  # the results say it all


def test_the_xcom_says_where_the_batch_works(kling, tmp_path):
    airflow = FakeAirflow()
    airflow.run(batch(tmp_path, save_to=None))
    assert airflow.xcoms["kling_batch"] == {
        "manifest": str(tmp_path / "m.jsonl"),
        "results": str(tmp_path / "out"),
        "save_to": None,
        "shard": None,
        "format": None,
        "strict": False,
        "kling_conn_id": "kling_default",
        "rows": 5,
    }


def test_a_store_that_refuses_is_one_warning(kling, quick, tmp_path, caplog):
    (tmp_path / "out" / "progress.json").mkdir(parents=True)
    kling.configure(duration=0.6)
    assert FakeAirflow().run(batch(tmp_path)).state == "success"
    assert len([record for record in caplog.records if "cannot be shown" in record.message]) == 1
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 5


def test_a_long_manifest_is_told_by_its_active_rows_and_its_failures(kling, quick, snapshots, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_WHOLE", 3)
    kling.configure(duration=0.3)
    FakeAirflow().run(batch(tmp_path, rows=8))
    assert not any(one["whole"] for one in snapshots)
    assert all(sum(one["counts"].values()) == 9 for one in snapshots)
    assert {line["status"] for one in snapshots for line in one["lines"]} <= {"waiting", "running", "invalid"}


def test_what_was_written_before_stands_until_this_batch_gets_to_it(tmp_path):
    from airflow_provider_kling.batch.job import BatchJob
    from airflow_provider_kling.batch.progress import Progress

    job = BatchJob(manifest="m", results=str(tmp_path), dag_id="d", run_id="r", task_id="t", kling_conn_id="c", deadline=0.0)
    first = module.Snapshot(job, Progress(rows=2, clock=lambda: 0.0), saves=False)
    first._ended["a"] = {"id": "a", "status": "succeed", "units": "2.5", "videos": [{"url": "https://example.com"}]}
    first._write(first._data())
    for run_id, expected in (("r", {"succeed": 1, "waiting": 1}), ("other", {"waiting": 2})):
        again = module.Snapshot(BatchJob(**{**vars(job), "run_id": run_id}), Progress(rows=2, clock=lambda: 0.0), saves=True)
        again._read_earlier()
        assert again._data()["counts"] == expected
