"""The caps of a connection, per day and month, through operators, triggers and batches on one machine."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from batch_runs import lines, operator as batch, row, write
from hostile import HostileKling
from task_runs import FakeAirflow, operator
from test_killed_batch import begin, kill

from airflow_provider_kling.prices import fix_price


@pytest.fixture
def capped(kling, monkeypatch, tmp_path):
    """Gives the connection these caps."""
    monkeypatch.setenv("AIRFLOW__KLING__SPENDING_FOLDER", str(tmp_path / "spending"))

    def cap(**caps: object) -> None:
        fields = json.loads(kling.connection())
        extra = fields.get("extra") or {}
        fields["extra"] = {**(json.loads(extra) if isinstance(extra, str) else extra), **caps}
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(fields))

    return cap


def found(folder: Path) -> Counter:
    return Counter(line["status"] for line in lines(folder))


def test_two_runs_have_one_cap_and_a_higher_one_makes_the_rest(airflow, kling, capped, tmp_path):
    capped(max_videos_per_day=7)
    manifest = write(tmp_path, [row(number) for number in range(5)])
    assert airflow.finish(batch(manifest, tmp_path / "a")).state == "success"
    second = FakeAirflow(run_id="another")
    assert second.finish(batch(manifest, tmp_path / "b")).state == "success"
    assert (found(tmp_path / "a"), found(tmp_path / "b")) == ({"succeed": 5}, {"succeed": 2, "capped": 3})
    (error,) = {line["error"] for line in lines(tmp_path / "b") if line["status"] == "capped"}
    assert "max_videos_per_day=7, and 7 were made this day" in error
    capped(max_videos_per_day="9")
    second.try_number = 2
    assert second.finish(batch(manifest, tmp_path / "b")).state == "success"
    assert found(tmp_path / "b") == {"succeed": 4, "capped": 1}
    assert len(kling.ledger) == 9


@pytest.mark.parametrize("deferrable", [False, True])
def test_operators_are_skipped_beyond_it(kling, capped, deferrable):
    capped(max_videos_per_month=1)
    runs = [FakeAirflow(map_index=index).finish(operator(row_id=f"r{index}", deferrable=deferrable)) for index in range(3)]
    assert [run.state for run in runs] == ["success", "skipped", "skipped"]
    assert len(kling.ledger) == 1


def test_a_refused_create_does_not_count(kling, capped):
    capped(max_videos_per_day=1)
    kling.fault(1201, on="create", times=1)
    assert FakeAirflow().finish(operator(row_id="a")).state == "failed"
    assert FakeAirflow().finish(operator(row_id="b")).state == "success"


def test_airflows_configuration_holds_for_connections_without_a_cap_of_their_own(kling, capped, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__MAX_VIDEOS_PER_DAY", "0")
    capped()
    assert FakeAirflow().finish(operator()).state == "skipped"
    capped(max_videos_per_day=1)
    assert FakeAirflow().finish(operator()).state == "success"


def test_units_count_with_the_price_book(kling, capped, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__KLING__PRICE_BOOK", str(tmp_path / "prices.json"))
    fix_price(str(tmp_path / "prices.json"), "pet_lion_pro", "2.5")
    capped(max_units_per_day=6)
    assert [FakeAirflow().finish(operator(row_id=str(number))).state for number in range(3)] == ["success", "success", "skipped"]


@pytest.mark.parametrize("caps", [{"max_videos_per_day": "many"}, {"max_units_per_month": -1}])
def test_a_cap_that_is_none_is_refused_with_its_name(kling, capped, caps):
    capped(**caps)
    run = FakeAirflow().finish(operator())
    assert run.state == "failed"
    assert f"Connection 'kling_default': extra {next(iter(caps))} is" in str(run.error)


def test_an_object_store_cannot_hold_the_count(kling, capped, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__SPENDING_FOLDER", "s3://bucket/kling")
    capped(max_videos_per_day=1)
    run = FakeAirflow().finish(operator())
    assert run.state == "failed"
    assert "which has no locks" in str(run.error)


@pytest.mark.integration
def test_batches_that_run_at_once_and_are_killed_never_exceed_it(monkeypatch, tmp_path):
    """Two processes over two manifests; each is killed once while it creates, and runs again."""
    rows, cap = 30, 35
    monkeypatch.setenv("AIRFLOW__KLING__SPENDING_FOLDER", str(tmp_path / "spending"))
    places = [tmp_path / name for name in ("a", "b")]
    with HostileKling(order="random", seconds=1.0) as account:
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", account.connection(timeout=30, max_videos_per_day=cap))
        manifests = []
        for place in places:
            place.mkdir()
            manifests.append(write(place, [row(f"{place.name}{number}") for number in range(rows)]))
        processes = [begin(manifests[at], places[at], 1, tmp_path) for at in range(2)]
        account.wait_for("create", 20, 60)
        for process in processes:
            kill(process)
        processes = [begin(manifests[at], places[at], 2, tmp_path) for at in range(2)]
        assert [process.wait() for process in processes] == [0, 0]
        assert (len(account.ledger), account.paid_twice()) == (cap, [])
    assert sum((found(place) for place in places), Counter()) == {"succeed": cap, "capped": 2 * rows - cap}
