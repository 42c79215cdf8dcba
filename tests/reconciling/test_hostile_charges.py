"""Reconciled with a server that shares nothing with the package, and answers as it likes."""

from __future__ import annotations

import json
from typing import Any

import pendulum
import pytest
from hostile import Exchange, HostileKling, envelope

from airflow_provider_kling import errors
from airflow_provider_kling.reconciling import reconcile, span_of

START = pendulum.datetime(2026, 11, 21)
NOW = pendulum.datetime(2026, 11, 30)
RESULT = {"kling_task_id": "179562958053400444", "row_id": "r", "units": "2.5", "created_at": "2026-11-21T10:00:00Z"}


@pytest.fixture
def server(monkeypatch):
    with HostileKling() as kling:
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection(timeout=3, allow_private_links=True))
        yield kling


def line(number: int = 0, **more: Any) -> dict[str, Any]:
    amounts = {"deduction_amount": 2.5, "unit_before_deduction": 100 - number, "unit_after_deduction": 97.5 - number}
    return {"task_id": RESULT["kling_task_id"], "deduction_time": "1795300000000", **amounts, **more}


def page(*lines: Any, cursor: Any = "", more: Any = False) -> dict[str, Any]:
    return {"result": {"detail": list(lines), "count": len(lines)}, "next_cursor": cursor, "has_more": more, "surprise": [1]}


def serve(server: HostileKling, answer) -> list[tuple[str, dict[str, Any]]]:
    """Let the server answer each query of units with a function of its number, and each of money with nothing."""
    asked: list[tuple[str, dict[str, Any]]] = []

    def write(exchange: Exchange) -> None:
        paid_with = exchange.path.rpartition("/")[2]
        asked.append((paid_with, json.loads(exchange.body)))
        number = sum(1 for each, _ in asked if each == "package")
        exchange.respond(200, envelope(answer(number) if paid_with == "package" else page()))

    server.answer("other", write)
    return asked


def lines_of(days: int = 1, results: Any = (RESULT,)) -> list[dict[str, Any]]:
    span = span_of(START.date(), START.add(days=days - 1).date())
    options = {"conn_ids": ["kling_default"], "sources": list(results), "now": NOW}
    with reconcile(span, **options, log=lambda text: None) as (_, found):
        return list(found)


def states(found: list[dict[str, Any]]) -> list[str]:
    return [each["state"] for each in found]


def test_a_charge_that_comes_twice_on_one_page_counts_once(server):
    serve(server, lambda number: page(line(), line()))
    (found,) = lines_of()
    assert (found["state"], found["task_charges"], found["amount"]) == ("matched", 1, "2.5")


def test_a_server_that_does_not_look_at_the_span_counts_no_charge_for_two_days(server):
    asked = serve(server, lambda number: page(line()))
    assert states(lines_of(days=3)) == ["matched"]
    spans = [(body["start_time"], body["end_time"]) for paid_with, body in asked if paid_with == "package"]
    assert [end - start for start, end in spans] == [86_400_000] * 3
    assert [start for start, _ in spans[1:]] == [end for _, end in spans[:-1]]


def test_two_real_charges_of_one_task_are_two(server):
    serve(server, lambda number: page(line(), line(5)))
    found = lines_of()
    assert states(found) == ["units_differ", "units_differ"]
    assert {(each["task_charges"], each["task_units"]) for each in found} == {(2, "5")}


def test_a_task_id_as_a_number_is_the_same_task_to_its_last_digit(server):
    serve(server, lambda number: page(line(task_id=int(RESULT["kling_task_id"]), new_key={"a": [1]}, model_name=7)))
    (found,) = lines_of()
    assert (found["state"], found["kling_task_id"], found["model_name"]) == ("matched", RESULT["kling_task_id"], "7")


def test_a_refund_and_a_charge_without_a_task_are_lines_of_their_own(server):
    serve(server, lambda number: page(line(), line(-5, deduction_amount=-2.5), line(9, task_id=None, deduction_time="")))
    found = lines_of()
    assert sorted(states(found)) == ["refunded", "refunded", "unknown"]
    assert {(each["state"], each["day"]) for each in found} == {("refunded", "2026-11-21"), ("unknown", None)}


@pytest.mark.parametrize(
    "answer",
    [
        lambda number: page(line(number), cursor="same", more=True),
        lambda number: page(cursor=f"c{number}", more=True),
    ],
)
def test_of_a_list_that_is_not_whole_no_table_is_made(server, answer):
    serve(server, answer)
    with pytest.raises(errors.KlingAnswerError):
        lines_of()


def test_texts_of_the_server_are_data(server):
    evil = "=cmd|' /C calc'!A0\n<script>\u202e"
    serve(server, lambda number: page(line(api_key_name=evil, package_id=evil)))
    (found,) = lines_of()
    assert "\n" not in found["api_key_name"]
    assert "\u202e" not in found["api_key_name"]
