"""A plan beside the run that it announced, row by row."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from airflow.sdk import DAG, Asset
from planned_manifests import IDENTITY, planned, write_two_hundred
from task_runs import FakeAirflow

from airflow_provider_kling.operators import KlingEffectBatchOperator
from airflow_provider_kling.prices import fix_price, read_prices

PRICES = {"squish": "2.5", "emoji": "4", "pet_lion_pro": "0.5"}
ALL_PRICES = tuple(f"{scene}={units}" for scene, units in {**PRICES, "expansion": "3"}.items())


def batch(manifest: str, out: Path, **options) -> KlingEffectBatchOperator:
    with DAG("d", schedule=None):
        return KlingEffectBatchOperator(
            task_id="batch", manifest=manifest, results=str(out), save_to=None, poll_interval=0.1, **options
        )


def written(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


@pytest.mark.integration
@pytest.mark.kling_emulator(slots=100, duration=0.2, price=ALL_PRICES, costs_interval=0.0)
def test_two_hundred_rows_cost_what_the_plan_said_row_by_row(kling, tmp_path):
    manifest, out, airflow = write_two_hundred(tmp_path), tmp_path / "out", FakeAirflow()
    for scene, units in PRICES.items():
        fix_price(str(out / "prices.json"), scene, units)
    options: dict = {"kling_conn_id": "kling_default", "identity": IDENTITY}
    before, _ = planned(tmp_path, manifest, **options)
    assert before["cost"]["unknown"] == sum(scene["videos"] for scene in before["scenes"] if scene["price"] is None) > 30
    first = airflow.finish(batch(manifest, out, max_videos=30))
    assert first.state == "success"
    made = {number for number, line in enumerate(written(out), 1) if line["status"] == "succeed"}
    spent = Decimal(kling.state["spent"])

    plan, rows = planned(tmp_path, manifest, **options)
    assert Decimal(kling.state["spent"]) == spent  # nothing was created for it
    assert plan["rows"] == len(rows) == 200

    airflow.try_number = 2
    assert airflow.finish(batch(manifest, out)).state == "success"
    results = dict(enumerate(written(out), 1))  # a row is on the line of its number
    becomes = {"make": {"succeed"}, "made": {"succeed"}, "invalid": {"invalid"}}
    for line, row in rows.items():
        result = results[line]
        if row["doubt"]:
            assert result["status"] == "error"  # the real account refuses such a scene, too
            assert result["units"] is None
        elif row["id"] == "risky":
            assert (row["state"], result["status"]) == ("make", "failed")  # that nobody knows before
        else:
            assert result["status"] in becomes[row["state"]], (row, result)
            assert (line in made) == (row["state"] == "made")
            if row["state"] == "make":
                assert Decimal(row["units"]) == Decimal(result["units"])
    cost = plan["cost"]
    of_failed = Decimal(PRICES["squish"])
    paid = Decimal(kling.state["spent"]) - spent
    assert paid == Decimal(cost["known"]) - of_failed == Decimal(cost["low"]) - of_failed
    assert cost["unknown"] == plan["doubtful"] == 2  # the price of the fourth scene was learned from the first run
    assert Decimal(before["cost"]["low"]) - of_failed <= paid + spent <= Decimal(before["cost"]["at_most"])

    after, _ = planned(tmp_path, manifest, **options)
    assert after["counts"]["make"] == 2  # the refused ones: a run would ask again
    assert after["counts"]["failed"] == 1
    assert read_prices(str(out / "prices.json")).price("expansion").units == 3  # learned from the first run
    assert after["time"]["seconds_per_video"] is not None


@pytest.mark.kling_emulator(duration=0.2, costs_interval=0.0)
def test_a_dry_run_returns_the_plan_and_leaves_nothing(kling, airflow, tmp_path):
    manifest, out = write_two_hundred(tmp_path), tmp_path / "out"
    operator = batch(manifest, out, dry_run=True, deferrable=True, max_videos=50, outlets=[Asset("videos")])
    run = airflow.finish(operator)
    assert (run.state, kling.ledger, kling.requests("create")) == ("success", [], [])
    assert airflow.result["videos"] + airflow.result["counts"]["invalid"] + airflow.result["counts"]["capped"] == 200
    assert airflow.result["counts"]["capped"] > 0
    assert airflow.result["cap"]["max_videos"] == 50
    assert not out.exists()
    assert (run.patch["task_outlets"], run.patch["outlet_events"]) == ([], [])
    json.dumps(airflow.result)


@pytest.mark.parametrize(("value", "dry"), [("True", True), ("{{ 'yes' }}", True), ("{{ False }}", False)])
@pytest.mark.kling_emulator(duration=0)
def test_one_word_makes_it_real_also_from_a_param(kling, airflow, tmp_path, value, dry):
    (tmp_path / "m.jsonl").write_text('{"effect_scene": "squish", "image": "https://example.com/a.jpg"}')
    assert airflow.finish(batch(str(tmp_path / "m.jsonl"), tmp_path / "out", dry_run=value)).state == "success"
    assert len(kling.ledger) == (0 if dry else 1)


@pytest.mark.parametrize("value", ["{{ None }}", "{{ '' }}", "{{ 'maybe' }}"])
def test_a_doubtful_dry_run_is_no_run(kling, airflow, tmp_path, value):
    (tmp_path / "m.jsonl").write_text('{"effect_scene": "squish", "image": "https://example.com/a.jpg"}')
    run = airflow.finish(batch(str(tmp_path / "m.jsonl"), tmp_path / "out", dry_run=value))
    assert (run.state, kling.ledger) == ("failed", [])
    assert "wanted is True or False" in str(run.error)


@pytest.mark.kling_emulator(duration=0.1, pack=("small=20",), costs_interval=0.0)
def test_a_batch_warns_that_the_packs_run_out_before_the_manifest_does(kling, airflow, tmp_path, capsys):
    rows = [json.dumps({"effect_scene": "squish", "image": f"https://example.com/{number}.jpg"}) for number in range(4)]
    (tmp_path / "m.jsonl").write_text("\n".join(rows))
    (tmp_path / "few.jsonl").write_text(rows[0])
    out = tmp_path / "out"
    assert airflow.finish(batch(str(tmp_path / "few.jsonl"), out)).state == "success"
    assert kling.requests("costs") == []  # without a price there is nothing to compare
    fix_price(str(out / "prices.json"), "squish", "7")
    assert airflow.finish(batch(str(tmp_path / "m.jsonl"), out)).state == "success"
    warning = capsys.readouterr().out
    assert "they hold 17.5 units" in warning
    assert "4 videos cost 28 units" in warning
    kling.fault(500, on="costs", times=10)
    assert FakeAirflow(run_id="other").finish(batch(str(tmp_path / "few.jsonl"), out)).state == "success"
    assert "Whether the resource packs will do is not known" in capsys.readouterr().out


@pytest.mark.kling_emulator(duration=0)
def test_a_price_book_that_cannot_be_written_is_a_warning(kling, airflow, tmp_path, caplog):
    (tmp_path / "m.jsonl").write_text('{"effect_scene": "squish", "image": "https://example.com/a.jpg"}')
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "prices.json").write_text("[]")
    assert airflow.finish(batch(str(tmp_path / "m.jsonl"), tmp_path / "out")).state == "success"
    assert "The prices of this run were not learned" in caplog.text
    assert (tmp_path / "out" / "prices.json").read_text() == "[]"
