"""Several accounts that share a load by their slots: each submission stays in the account that has its task."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from airflow.sdk import DAG
from task_runs import FakeAirflow

from airflow_provider_kling.batch import QUEUED
from airflow_provider_kling.dispatch import schedule
from airflow_provider_kling.emulator import KlingEmulator
from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor

BOTH = ["kling_a", "kling_b"]
URL = "https://example.com/portrait.jpg"


@pytest.fixture
def accounts(monkeypatch) -> Iterator[tuple[KlingEmulator, KlingEmulator]]:
    """Two accounts, named by the connections kling_a and kling_b."""
    monkeypatch.setattr(schedule, "FIRST_POLL", 0.2)
    with KlingEmulator(videos="clip", duration=0.2) as a, KlingEmulator(videos="clip", duration=0.2) as b:
        for name, kling in zip("AB", (a, b), strict=True):
            monkeypatch.setenv(f"AIRFLOW_CONN_KLING_{name}", kling.connection())
        yield a, b


def limit_slots(monkeypatch, **slots: int) -> None:
    """Set `max_concurrency` in the connections."""
    for name, limit in slots.items():
        variable = f"AIRFLOW_CONN_KLING_{name.upper()}"
        connection = json.loads(os.environ[variable])
        extra = (connection.get("extra") or {}) | {"max_concurrency": limit}
        monkeypatch.setenv(variable, json.dumps(connection | {"extra": extra}))


def operator(**kwargs) -> KlingEffectOperator:
    with DAG("d", schedule=None):
        return KlingEffectOperator(
            task_id="video", **{"effect_scene": "squish", "image": URL, "kling_conn_id": BOTH, "poll_interval": 0.1, **kwargs}
        )


def sensor(**kwargs) -> KlingTaskSensor:
    with DAG("d", schedule=None):
        return KlingTaskSensor(task_id="wait", kling_conn_id=BOTH, poke_interval=0.1, timeout=30, **kwargs)


def batch(tmp_path, rows: int, **kwargs) -> KlingEffectBatchOperator:
    lines = [{"id": f"r{n}", "effect_scene": "squish", "image": f"https://example.com/{n}.jpg"} for n in range(rows)]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with DAG("d", schedule=None):
        return KlingEffectBatchOperator(
            task_id="batch",
            manifest=str(tmp_path / "m.jsonl"),
            results=str(tmp_path / "out"),
            **{"kling_conn_id": BOTH, "poll_interval": 0.1, **kwargs},
        )


def results(tmp_path) -> list[dict]:
    return [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]


# --- Operators and sensors


@pytest.mark.parametrize("deferrable", [False, True])
def test_mapped_rows_alternate_between_accounts_and_finish_there(accounts, tmp_path, deferrable):
    for index in range(6):
        airflow = FakeAirflow(map_index=index)
        task = operator(image=f"{URL}?{index}", wait_for_completion=True, save_to=str(tmp_path), deferrable=deferrable)
        assert airflow.finish(task).state == "success"
    assert [len(kling.ledger) for kling in accounts] == [3, 3]
    assert [len(kling.requests("video")) for kling in accounts] == [3, 3]


def test_shares_are_those_of_max_concurrency(accounts, monkeypatch):
    limit_slots(monkeypatch, a=2, b=1)
    for index in range(6):
        assert FakeAirflow(map_index=index).finish(operator(image=f"{URL}?{index}")).state == "success"
    assert [len(kling.ledger) for kling in accounts] == [4, 2]


def test_max_concurrency_in_only_one_connection_is_an_error(accounts, monkeypatch):
    limit_slots(monkeypatch, a=2)
    run = FakeAirflow(map_index=0).run(operator())
    assert run.state == "failed"
    assert "only kling_a has max_concurrency; set it in all of them, or in none" in str(run.error)


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_retry_finds_the_task_after_the_list_of_accounts_has_changed(accounts, deferrable):
    assert FakeAirflow(map_index=0).finish(operator(deferrable=deferrable)).state == "success"
    (task,) = accounts[0].ledger
    again = FakeAirflow(map_index=0, try_number=2)
    assert again.finish(operator(kling_conn_id="kling_b, kling_a", deferrable=deferrable)).state == "success"
    assert again.result == task["kling_task_id"]
    assert not accounts[1].ledger


def test_a_retry_creates_nothing_while_one_account_cannot_be_queried(accounts):
    assert FakeAirflow(map_index=0).finish(operator()).state == "success"
    accounts[0].fault(503, times=None)
    again = FakeAirflow(map_index=0, try_number=2).run(operator(kling_conn_id="kling_b,kling_a"))
    assert again.state in ("failed", "up_for_retry")
    assert not accounts[1].ledger


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_sensor_finds_the_account_that_has_the_task(accounts, tmp_path, deferrable):
    airflow = FakeAirflow(map_index=1)
    assert airflow.finish(operator()).state == "success"
    assert len(accounts[1].ledger) == 1
    sensing = FakeAirflow(map_index=1)
    assert sensing.finish(sensor(kling_task_id=airflow.result, save_to=str(tmp_path), deferrable=deferrable)).state == "success"
    assert sensing.result["kling_task_id"] == airflow.result


def test_a_sensor_reports_that_no_account_has_the_task(accounts):
    run = FakeAirflow().run(sensor(kling_task_id="178900000000000000"))
    assert run.state == "failed"
    assert "no task has the id" in str(run.error)


# --- Batches


def test_a_batch_distributes_its_rows_by_share(accounts, tmp_path, monkeypatch):
    limit_slots(monkeypatch, a=3, b=1)
    airflow = FakeAirflow()
    assert airflow.finish(batch(tmp_path, 40)).state == "success"
    assert airflow.result["succeed"] == 40
    assert [len(kling.ledger) for kling in accounts] == [30, 10]


def test_a_second_run_of_a_batch_adopts_each_task_in_its_account(accounts, tmp_path):
    assert FakeAirflow().finish(batch(tmp_path, 10)).state == "success"
    paid = {task["kling_task_id"] for kling in accounts for task in kling.ledger}
    (tmp_path / "out" / "results.jsonl").unlink()
    again = FakeAirflow(try_number=2)
    assert again.finish(batch(tmp_path, 10, kling_conn_id="kling_b,kling_a")).state == "success"
    assert {line["kling_task_id"] for line in results(tmp_path)} == paid
    assert sum(len(kling.ledger) for kling in accounts) == 10


def test_an_account_without_a_free_slot_does_not_delay_the_other(accounts, tmp_path):
    rows = 2 * QUEUED + 20
    accounts[0].occupy(accounts[0].settings.slots)
    ended = threading.Event()

    def free_the_first() -> int:
        """Free the first account after the second has created all its tasks. Returns how many the first had created."""
        while len(accounts[1].ledger) < rows // 2 and not ended.wait(0.05):
            pass
        created = len(accounts[0].ledger)
        accounts[0].occupy(0)
        return created

    with ThreadPoolExecutor(1) as executor:
        created = executor.submit(free_the_first)
        run = FakeAirflow().finish(batch(tmp_path, rows, timeout=120))
        ended.set()
    assert run.state == "success", run.error
    assert created.result() == 0
    assert [len(kling.ledger) for kling in accounts] == [rows // 2, rows // 2]


def test_refused_credentials_fail_only_the_rows_of_their_account(accounts, tmp_path):
    accounts[0].configure(api_key=["another"])
    run = FakeAirflow().finish(batch(tmp_path, 10))
    assert run.state == "failed"
    assert Counter(line["status"] for line in results(tmp_path)) == {"succeed": 5, "error": 5}
    assert len(accounts[1].ledger) == 5
