"""The files of the table: what a spreadsheet, a browser and a program read."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pendulum
import pytest

from airflow_provider_kling.api import Charge
from airflow_provider_kling.object_paths import storage_path
from airflow_provider_kling.reconciling import (
    COLUMNS,
    Ledger,
    csv_lines,
    page_policy,
    render_charges,
    span_of,
    task_of_line,
    write_charges,
    written_lines,
)

NOON = pendulum.datetime(2026, 11, 22, 12)
SCRIPT = "<script>alert(1)</script>"


def reconciled(results: list[dict[str, Any]], charges: list[Charge]) -> tuple[Ledger, list[dict[str, Any]]]:
    ledger = Ledger(span=span_of("2026-11-22"), as_of=pendulum.datetime(2026, 11, 24))
    for result in results:
        task = task_of_line(result, dag_id=result.get("dag_id"), run_id="scheduled__1")
        assert task is not None
        ledger.know(task)
    parts = [ledger.count(each, "kling_default") for each in charges]
    return ledger, list(ledger.lines(filter(None, parts)))


def charge(task: str | None = "1", amount: str = "2.5", **more: Any) -> Charge:
    return Charge(**{"paid_with": "units", "amount": Decimal(amount), "kling_task_id": task, "charged_at": NOON, **more})


def result(task: str = "1", **more: Any) -> dict[str, Any]:
    times = dict.fromkeys(("created_at", "updated_at"), NOON.to_iso8601_string())
    return {"id": "r", "kling_task_id": task, "units": "2.5", "status": "succeed", **times, **more}


@pytest.mark.parametrize("text", ['=HYPERLINK("x")', "+1", "-1", "@SUM(A1)", "  =1", "\t=1", "＝1", "=1\r\n=2"])
def test_nothing_in_the_csv_is_a_formula(text):
    _, lines = reconciled([result(id=text, dag_id=text)], [charge(api_key_name=text), charge("2", "-1.5")])
    first, second = csv.DictReader(io.StringIO("".join(csv_lines(lines))))
    for name in ("row_id", "dag_id", "api_key_name"):
        assert first[name].startswith("'")
        assert not {"\r", "\n", "\t"} & set(first[name])
    assert second["amount"] == "-1.5"  # an amount is a number, not a text


def test_all_four_files_say_the_same(tmp_path):
    results = [result(), result("3", units="7")]
    charges = [charge(), charge("2", "1.25", api_key_name="other"), charge("1", "0.30", paid_with="money", currency="USD")]
    ledger, lines = reconciled(results, charges)
    (tmp_path / "charges.csv").write_text("of an earlier run")
    summary = write_charges(ledger, lines, str(tmp_path), conn_ids=["kling_default"])
    assert {path.name for path in tmp_path.iterdir()} == {"charges.jsonl", "charges.csv", "sums.csv", "charges.html"}
    assert [json.loads(text) for text in (tmp_path / "charges.jsonl").read_text().splitlines()] == lines
    table = list(csv.DictReader((tmp_path / "charges.csv").open(newline="")))
    assert tuple(table[0]) == COLUMNS
    assert [row["amount"] for row in table] == ["2.5", "1.25", "0.3", ""]
    sums = {(row["by"], row["name"]): row for row in csv.DictReader((tmp_path / "sums.csv").open(newline=""))}
    total = sums["all", ""]
    expected = ("3", "3.75", "USD", "0.3", "1", "7")
    names = ("charges", "units", "currency", "money", "tasks_without_charge", "units_without_charge")
    assert tuple(total[name] for name in names) == expected
    assert sums["key", "other"]["units"] == "1.25"
    facts = ("charges", "units", "money", "units_without_charge", "timezone", "span", "kling_conn_ids", "lateness_hours")
    assert [summary[name] for name in facts] == [3, "3.75", {"USD": "0.3"}, "7", "UTC", "2026-11-22, UTC", ["kling_default"], 12.0]
    assert {state: count for state, count in summary["states"].items() if count} == {
        "unknown": 1, "not_charged": 1, "paid_in_money": 2,
    }  # fmt: skip
    page = (tmp_path / "charges.html").read_text(encoding="utf-8")
    assert "2 lines do not fit the results." in page
    assert "3.75 units, 0.3 USD" in page
    assert all(f'<a href="{name}">' in page for name in ("charges.csv", "sums.csv", "charges.jsonl"))
    json.dumps(summary)


def test_one_line_of_the_summary_fits_into_an_xcom_whatever_the_table_holds(tmp_path):
    ledger, lines = reconciled([result(str(number), dag_id=f"d{number}") for number in range(500)], [])
    summary = write_charges(ledger, lines, str(tmp_path), conn_ids=["a"])
    assert len(json.dumps(summary)) < 2000


def test_the_page_takes_no_value_for_html_and_runs_nothing():
    texts = dict.fromkeys(("id", "dag_id", "effect_scene", "external_task_id"), SCRIPT)
    _, lines = reconciled([result(**texts)], [charge(api_key_name=SCRIPT), charge("2", paid_with="money", currency=SCRIPT)])
    facts = {"span": SCRIPT, "kling_conn_ids": [SCRIPT], "as_of": SCRIPT, "lateness_hours": SCRIPT}
    page = "".join(render_charges(lines, facts, links=[(SCRIPT, 'x"onclick="y')]))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert 'x"onclick' not in page
    assert "script-src" not in page_policy()
    assert page_policy() in page.replace("&#39;", "'")


def test_what_hides_or_turns_text_around_is_in_no_page():
    _, lines = reconciled([result(id="a\u202eb\x00\ud800c\nd")], [charge()])
    page = "".join(render_charges(lines, {}))
    assert not {"\u202e", "\x00", "\ud800"} & set(page)
    page.encode()


def test_a_long_page_is_cut_and_says_so():
    _, lines = reconciled([], [charge(str(number), package_id=str(number)) for number in range(600)])
    page = "".join(render_charges(lines, {}))
    assert "shown are 500, charges.csv has every line" in page
    assert page.count('<td class="code">') == 500


def test_lines_that_are_read_again_are_checked(tmp_path):
    _, lines = reconciled([result()], [charge()])
    good = json.dumps(lines[0])
    wrong = [{"state": "matched", "amount": "1e999999"}, {"state": "x"}, {**lines[0], "dag_id": {}}, {**lines[0], "units": "NaN"}]
    wrong.append({**lines[0], "task_charges": "2"})
    texts = [good, "no json", "[" * 5000, *map(json.dumps, wrong), json.dumps({**lines[0], "more": "x"})]
    (tmp_path / "charges.jsonl").write_text("\n".join(texts))
    assert list(written_lines(storage_path(str(tmp_path / "charges.jsonl")))) == [lines[0], lines[0]]
