"""The caps of a batch: never more than they permit, whatever fails, dies or changes; and the rest when they are raised."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from batch_runs import lines, operator, row, statuses, write
from hostile import HostileKling
from task_runs import fire
from test_killed_batch import begin, kill

from airflow_provider_kling.prices import fix_price


def rows_of(folder: Path, status: str) -> list[str]:
    return [name for name, found in statuses(folder).items() if found == status]


def test_rows_beyond_the_cap_are_capped_and_made_when_it_is_raised(airflow, kling, tmp_path):
    manifest, out = write(tmp_path, [row(number) for number in range(12)]), tmp_path / "out"
    run = airflow.finish(operator(manifest, out, max_videos=5))
    assert run.state == "success"
    assert rows_of(out, "succeed") == [f"r{number}" for number in range(5)]
    assert len(rows_of(out, "capped")) == 7
    assert airflow.result["capped"] == 7
    assert "max_videos=5 permits the first 5 rows" in lines(out)[5]["error"]
    assert len(kling.ledger) == 5
    assert len(kling.requests("create")) == 5
    airflow.try_number = 2
    assert airflow.finish(operator(manifest, out, max_videos=9)).state == "success"
    assert len(kling.ledger) == 9
    assert (len(rows_of(out, "succeed")), len(rows_of(out, "capped"))) == (9, 3)


def test_a_lower_cap_takes_nothing_away(airflow, kling, tmp_path):
    manifest, out = write(tmp_path, [row(number) for number in range(6)]), tmp_path / "out"
    airflow.finish(operator(manifest, out))
    airflow.try_number = 2
    assert airflow.finish(operator(manifest, out, max_videos=2)).state == "success"
    assert len(rows_of(out, "succeed")) == 6
    assert len(kling.ledger) == 6


def test_bad_rows_use_up_nothing(airflow, kling, tmp_path):
    manifest = write(tmp_path, [row(0, image=""), row(1), row(2, effect_scene=""), row(3), row(4)])
    airflow.finish(operator(manifest, tmp_path / "out", max_videos=2))
    assert rows_of(tmp_path / "out", "succeed") == ["r1", "r3"]
    assert rows_of(tmp_path / "out", "capped") == ["r4"]


def test_shards_divide_the_cap_among_them(airflow, kling, tmp_path):
    manifest = write(tmp_path, [row(number) for number in range(11)])
    capped = 0
    for shard in ("1/3", "2/3", "3/3"):
        out = tmp_path / shard.replace("/", "-")
        airflow.finish(operator(manifest, out, max_videos=5, shard=shard))
        capped += len(rows_of(out, "capped"))
    assert (len(kling.ledger), capped) == (5, 6)


def test_units_are_counted_with_the_price_book(airflow, kling, tmp_path):
    fix_price(str(tmp_path / "out" / "prices.json"), "squish", "2.5")
    fix_price(str(tmp_path / "out" / "prices.json"), "pet_lion_pro", "4")
    scenes = ["squish", "pet_lion_pro", "squish", "squish"]
    manifest = write(tmp_path, [row(number, effect_scene=scene) for number, scene in enumerate(scenes)])
    airflow.finish(operator(manifest, tmp_path / "out", max_units="{{ 9.5 }}"))
    assert list(statuses(tmp_path / "out").values()) == ["succeed", "succeed", "succeed", "capped"]


def test_units_without_any_price_are_an_error_before_anything_is_paid(airflow, kling, tmp_path):
    run = airflow.finish(operator(write(tmp_path, [row(1)]), tmp_path / "out", max_units=9))
    assert run.state == "failed"
    assert "no price of any scene is known" in str(run.error)
    assert len(kling.ledger) == 0


def test_an_author_may_wish_that_a_cap_fails_the_task(airflow, kling, tmp_path):
    run = airflow.finish(operator(write(tmp_path, [row(1), row(2)]), tmp_path / "out", max_videos=1, fail_if_capped=True))
    assert isinstance(run.error, AirflowFailException)
    assert "1 of 2 rows are beyond a cap" in str(run.error)
    assert rows_of(tmp_path / "out", "succeed") == ["r1"]


def test_capped_rows_are_no_failures_for_max_failures(airflow, kling, tmp_path):
    run = airflow.finish(operator(write(tmp_path, [row(1), row(2)]), tmp_path / "out", max_videos=1, max_failures=0))
    assert run.state == "success"


def test_a_changed_image_is_a_second_video_that_the_cap_does_not_pay_for(airflow, kling, tmp_path):
    rows, out = [row(number) for number in range(4)], tmp_path / "out"
    airflow.finish(operator(write(tmp_path, rows), out, max_videos=3))
    rows[1]["image"] = "https://example.com/another.jpg"
    airflow.try_number = 2
    airflow.finish(operator(write(tmp_path, rows), out, max_videos=3))
    assert len(kling.ledger) == 3
    assert statuses(out) == {"r0": "succeed", "r1": "capped", "r2": "succeed", "r3": "capped"}
    airflow.try_number = 3
    airflow.finish(operator(write(tmp_path, rows), out, max_videos=8))
    assert (len(kling.ledger), len(rows_of(out, "succeed"))) == (5, 4)


def test_rows_added_in_front_do_not_raise_the_cap(airflow, kling, tmp_path):
    rows, out = [row(number) for number in range(6)], tmp_path / "out"
    airflow.finish(operator(write(tmp_path, rows), out, max_videos=4))
    airflow.try_number = 2
    airflow.finish(operator(write(tmp_path, [row("new"), *rows]), out, max_videos=4))
    assert len(kling.ledger) == 4
    assert len(rows_of(out, "succeed")) == 4


def test_a_deferred_batch_keeps_its_cap(airflow, kling, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__SHARED_FOLDERS", str(tmp_path))
    manifest = write(tmp_path, [row(number) for number in range(7)])
    batch = operator(manifest, tmp_path / "out", max_videos="3", deferrable=True)
    run = airflow.run(batch)
    assert run.state == "deferred"
    json.dumps(run.trigger[1])
    event = fire(run)
    assert event["batch"] == {"succeed": 3, "capped": 4, "running": 0, "left": 0}
    assert airflow.run(batch, event=event).state == "success"
    assert len(kling.ledger) == 3


@pytest.mark.integration
def test_a_batch_that_is_killed_again_and_again_makes_no_more_than_the_cap(monkeypatch, tmp_path):
    rows, cap, kills = 80, 20, 2
    manifest, results = write(tmp_path, [row(number) for number in range(rows)]), tmp_path / "out"
    with HostileKling(order="random", seconds=1.0) as account:
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", account.connection(timeout=30))
        for number in range(1, kills + 1):
            process = begin(manifest, results, number, tmp_path, max_videos=cap)
            account.wait_for("create", number * cap // (kills + 1), 60)
            kill(process)
        assert begin(manifest, results, kills + 1, tmp_path, max_videos=cap).wait() == 0
        assert (len(account.ledger), account.paid_twice()) == (cap, [])
        assert Counter(line["status"] for line in lines(results)) == {"succeed": cap, "capped": rows - cap}
        assert begin(manifest, results, kills + 2, tmp_path).wait() == 0
        assert (len(account.ledger), account.paid_twice()) == (rows, [])
    assert {line["status"] for line in lines(results)} == {"succeed"}
