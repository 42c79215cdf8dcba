"""How a batch ends: failed rows, time-outs, errors that stop an account, and errors that may pass."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from batch_runs import lines, operator, paid, row, statuses, write
from task_runs import FakeAirflow

from airflow_provider_kling.errors import KlingTimeoutError


def test_failed_rows_leave_the_task_green_unless_there_are_too_many(kling, tmp_path):
    rows = [row(1), row(2, image="https://example.com/risk.jpg"), row(3, image=""), row(4)]
    manifest = write(tmp_path, rows)
    assert FakeAirflow().finish(operator(manifest, tmp_path / "a")).state == "success"
    assert FakeAirflow(try_number=2).finish(operator(manifest, tmp_path / "b", max_failures=2)).state == "success"
    assert FakeAirflow(try_number=2).finish(operator(manifest, tmp_path / "b", max_failures="{{ 0.5 }}")).state == "success"
    for limit, shown in ((1, "1."), (0.25, "0.25, 1 of 4 rows."), ("25%", "25%, 1 of 4 rows.")):
        airflow = FakeAirflow(try_number=2)
        run = airflow.finish(operator(manifest, tmp_path / "c", max_failures=limit))
        assert isinstance(run.error, AirflowFailException)
        expected = f"2 of 4 rows have no video (1 failed, 1 invalid), which is more than max_failures={shown}"
        assert expected in str(run.error)
        assert len(lines(tmp_path / "c")) == 4
        assert airflow.xcoms["summary"]["succeed"] == 2
    assert len(kling.ledger) == 3


@pytest.mark.kling_emulator(duration=600)
def test_the_timeout_says_what_still_runs_and_a_retry_adopts_it(airflow, kling, tmp_path):
    kling.configure(slots=3)
    manifest = write(tmp_path, [row(number) for number in range(5)])
    run = airflow.finish(operator(manifest, tmp_path / "out", timeout=3))
    assert isinstance(run.error, KlingTimeoutError)
    assert run.state == "failed"
    assert "3 still run at Kling and will be charged, 2 have no task that is known" in str(run.error)
    assert set(statuses(tmp_path / "out").values()) == {"error"}
    kling.configure(duration=0.2)
    kling.finish()
    airflow.try_number = 2
    assert airflow.finish(operator(manifest, tmp_path / "out", timeout=60)).state == "success"
    assert set(statuses(tmp_path / "out").values()) == {"succeed"}
    assert set(paid(kling).values()) == {1}
    assert len(kling.ledger) == 5


def test_a_blocked_account_ends_the_batch_with_the_reason_after_the_results(airflow, kling, tmp_path):
    kling.fault(1102, on="create", skip=2, times=None)
    run = airflow.finish(operator(write(tmp_path, [row(number) for number in range(200)]), tmp_path / "out"))
    assert isinstance(run.error, AirflowFailException)
    assert "1102" in str(run.error)
    counts = list(statuses(tmp_path / "out").values())
    assert (counts.count("succeed"), counts.count("error")) == (2, 198)
    assert len(kling.requests("create")) < 70


def test_a_wrong_key_ends_the_batch_at_once(airflow, kling, tmp_path, monkeypatch):
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


def test_errors_that_may_pass_are_tried_again_while_there_are_retries(airflow, kling, tmp_path):
    manifest = write(tmp_path, [row(1), row(2)])
    kling.fault(404, on="video", times=None)
    task = operator(manifest, tmp_path / "out", retries=1)
    airflow.max_tries = 1
    run = airflow.finish(task)
    assert run.state == "up_for_retry"
    assert "2 rows have errors that may pass" in str(run.error)
    kling.clear_faults()
    airflow.try_number = 2
    assert airflow.finish(task).state == "success"
    assert set(statuses(tmp_path / "out").values()) == {"succeed"}
    assert len(kling.ledger) == 2
