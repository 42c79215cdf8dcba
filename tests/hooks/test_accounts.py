"""Several accounts for one load: shared by their slots, and each submission true to the account that has made its task."""

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
from airflow_provider_kling.dispatch import durations as pace
from airflow_provider_kling.emulator import KlingEmulator
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.hooks import conn_ids, turn
from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor

BOTH = ["kling_a", "kling_b"]
URL = "https://example.com/portrait.jpg"


@pytest.fixture
def two(monkeypatch) -> Iterator[tuple[KlingEmulator, KlingEmulator]]:
    """Two accounts, named by the connections kling_a and kling_b."""
    monkeypatch.setattr(pace, "FIRST_LOOK", 0.2)
    with KlingEmulator(videos="clip", duration=0.2) as a, KlingEmulator(videos="clip", duration=0.2) as b:
        for name, kling in zip("AB", (a, b), strict=True):
            monkeypatch.setenv(f"AIRFLOW_CONN_KLING_{name}", kling.connection())
        yield a, b


def share(monkeypatch, **slots: int) -> None:
    """Say in the connections how many slots each account has."""
    for name, most in slots.items():
        variable = f"AIRFLOW_CONN_KLING_{name.upper()}"
        connection = json.loads(os.environ[variable])
        extra = json.loads(connection.get("extra") or "{}") | {"max_concurrency": most}
        monkeypatch.setenv(variable, json.dumps(connection | {"extra": json.dumps(extra)}))


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


# --- Whose turn it is


@pytest.mark.parametrize(
    ("given", "ids"), [("a", ["a"]), ("a, b", ["a", "b"]), (["a", "b", "a"], ["a", "b"]), (("b", "a"), ["b", "a"])]
)
def test_accounts_are_a_text_or_a_list(given, ids):
    assert conn_ids(given) == ids


@pytest.mark.parametrize("given", ["", ",", "a,,b", [], [None], ["a", ""]])
def test_what_names_no_account_is_said(given):
    with pytest.raises(KlingInputError, match="wanted is the id of a connection"):
        conn_ids(given)


def test_each_account_has_its_share_evenly_mixed():
    order = [turn(place, [3, 1]) for place in range(8)]
    assert Counter(order) == {0: 6, 1: 2}
    assert Counter(order[:4]) == Counter(order[4:]) == {0: 3, 1: 1}
    assert Counter(turn(place, [100_000, 300_000]) for place in range(1000)) == {0: 250, 1: 750}
    assert {turn(f"airflow-{number}", [1, 1]) for number in range(50)} == {0, 1}


# --- One row each


@pytest.mark.parametrize("deferrable", [False, True])
def test_mapped_rows_take_turns_and_end_with_their_account(two, tmp_path, deferrable):
    for index in range(6):
        airflow = FakeAirflow(map_index=index)
        task = operator(image=f"{URL}?{index}", wait_for_completion=True, save_to=str(tmp_path), deferrable=deferrable)
        assert airflow.finish(task).state == "success"
    assert [len(kling.ledger) for kling in two] == [3, 3]
    assert [len(kling.requests("video")) for kling in two] == [3, 3]


def test_shares_are_those_of_max_concurrency(two, monkeypatch):
    share(monkeypatch, a=2, b=1)
    for index in range(6):
        assert FakeAirflow(map_index=index).finish(operator(image=f"{URL}?{index}")).state == "success"
    assert [len(kling.ledger) for kling in two] == [4, 2]


def test_max_concurrency_in_one_connection_alone_is_said(two, monkeypatch):
    share(monkeypatch, a=2)
    run = FakeAirflow(map_index=0).run(operator())
    assert run.state == "failed"
    assert "only kling_a has max_concurrency; set it in all of them, or in none" in str(run.error)


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_retry_finds_the_task_whatever_the_list_has_become(two, deferrable):
    assert FakeAirflow(map_index=0).finish(operator(deferrable=deferrable)).state == "success"
    (task,) = two[0].ledger
    again = FakeAirflow(map_index=0, try_number=2)
    assert again.finish(operator(kling_conn_id="kling_b, kling_a", deferrable=deferrable)).state == "success"
    assert again.result == task["kling_task_id"]
    assert not two[1].ledger


def test_a_retry_makes_nothing_while_one_account_cannot_be_asked(two):
    assert FakeAirflow(map_index=0).finish(operator()).state == "success"
    two[0].fault(503, times=None)
    again = FakeAirflow(map_index=0, try_number=2).run(operator(kling_conn_id="kling_b,kling_a"))
    assert again.state in ("failed", "up_for_retry")
    assert not two[1].ledger


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_sensor_asks_who_knows_the_task(two, tmp_path, deferrable):
    airflow = FakeAirflow(map_index=1)
    assert airflow.finish(operator()).state == "success"
    assert len(two[1].ledger) == 1
    waiting = FakeAirflow(map_index=1)
    assert waiting.finish(sensor(kling_task_id=airflow.result, save_to=str(tmp_path), deferrable=deferrable)).state == "success"
    assert waiting.result["kling_task_id"] == airflow.result


def test_a_sensor_says_that_no_account_knows_the_task(two):
    run = FakeAirflow().run(sensor(kling_task_id="178900000000000000"))
    assert run.state == "failed"
    assert "no task has the id" in str(run.error)


# --- A manifest


def test_a_batch_shares_its_rows(two, tmp_path, monkeypatch):
    share(monkeypatch, a=3, b=1)
    airflow = FakeAirflow()
    assert airflow.finish(batch(tmp_path, 40)).state == "success"
    assert airflow.result["succeed"] == 40
    assert [len(kling.ledger) for kling in two] == [30, 10]


def test_a_batch_that_runs_again_takes_each_task_from_its_account(two, tmp_path):
    assert FakeAirflow().finish(batch(tmp_path, 10)).state == "success"
    paid = {task["kling_task_id"] for kling in two for task in kling.ledger}
    (tmp_path / "out" / "results.jsonl").unlink()
    again = FakeAirflow(try_number=2)
    assert again.finish(batch(tmp_path, 10, kling_conn_id="kling_b,kling_a")).state == "success"
    assert {line["kling_task_id"] for line in results(tmp_path)} == paid
    assert sum(len(kling.ledger) for kling in two) == 10


def test_an_account_without_a_slot_does_not_keep_the_other_from_working(two, tmp_path):
    rows = 2 * QUEUED + 20
    two[0].occupy(two[0].settings.slots)
    ended = threading.Event()

    def free_it() -> int:
        """When the other account has made all its rows; how many this one had made by then."""
        while len(two[1].ledger) < rows // 2 and not ended.wait(0.05):
            pass
        made = len(two[0].ledger)
        two[0].occupy(0)
        return made

    with ThreadPoolExecutor(1) as elsewhere:
        made = elsewhere.submit(free_it)
        run = FakeAirflow().finish(batch(tmp_path, rows, timeout=120))
        ended.set()
    assert run.state == "success", run.error
    assert made.result() == 0
    assert [len(kling.ledger) for kling in two] == [rows // 2, rows // 2]


def test_an_account_that_is_refused_ends_its_own_rows_only(two, tmp_path):
    two[0].configure(api_key=["another"])
    run = FakeAirflow().finish(batch(tmp_path, 10))
    assert run.state == "failed"
    assert Counter(line["status"] for line in results(tmp_path)) == {"succeed": 5, "error": 5}
    assert len(two[1].ledger) == 5
