"""Prices that a run teaches at its end."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from airflow_provider_kling.mapping import write_results
from airflow_provider_kling.prices import PriceLearner, read_prices


def result(scene: str, units: str | None, at: str = "2026-11-26T03:00:00Z", **more: object) -> dict[str, object]:
    facts = {"row_id": None, "kling_task_id": "1", "status": "succeed", "videos": [{"id": "v", "url": "https://x/v.mp4"}]}
    return {**facts, "effect_scene": scene, "units": units, "updated_at": at, **more}


def test_the_collecting_task_of_a_mapped_dag_teaches_the_book(tmp_path: Path):
    write_results(None, str(tmp_path), [result("squish", "2.5"), {**result("emoji", "4"), "kling_task_id": "2"}])
    book = read_prices(str(tmp_path / "prices.json"))
    assert {price.scene: str(price.units) for price in book.prices()} == {"emoji": "4", "squish": "2.5"}


def test_what_failed_or_was_not_charged_teaches_nothing(tmp_path: Path):
    write_results(None, str(tmp_path), [result("squish", "2.5", status="failed"), result("emoji", None, kling_task_id="2")])
    assert not (tmp_path / "prices.json").exists()


def test_the_newest_price_of_many_is_learned_once(tmp_path: Path):
    learner = PriceLearner()
    lines = [result("squish", units, f"2026-11-2{day}T00:00:00Z") for day, units in enumerate(["2", "3", "3", "2", "3"], 1)]
    assert list(learner.watch(iter(lines))) == lines
    learner.learn(str(tmp_path))
    price = read_prices(str(tmp_path / "prices.json")).price("squish")
    assert (str(price.units), str(price.last_seen)[:10]) == ("3", "2026-11-25")


def test_one_book_for_all_runs_is_used_where_it_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW__KLING__PRICE_BOOK", str(tmp_path / "all.json"))
    write_results(None, str(tmp_path / "out"), [result("squish", "2.5")])
    assert str(read_prices(str(tmp_path / "all.json")).price("squish").units) == "2.5"
    assert not (tmp_path / "out" / "prices.json").exists()


def test_a_broken_book_costs_a_warning_and_no_results(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "prices.json").write_text("no JSON")
    with caplog.at_level(logging.WARNING):
        summary = write_results(None, str(tmp_path), [result("squish", "2.5")])
    assert (summary["succeed"], (tmp_path / "prices.json").read_text()) == (1, "no JSON")
    assert "The prices of this run were not learned" in caplog.text
