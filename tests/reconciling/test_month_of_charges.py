"""A month of charges against the emulator's ledger, to the last unit: its clock runs, batches make videos, others pay with it."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from datetime import datetime, timezone
from decimal import Decimal

import pendulum
import pytest
from airflow.sdk import DAG
from task_runs import FakeAirflow

from airflow_provider_kling.operators import KlingEffectBatchOperator
from airflow_provider_kling.reconciling import Ledger, Sums, known_tasks, reconcile, span_of, task_of_line

DAY = 86400
SCENES = {"squish": "4", "emoji": "0.1", "pet_lion_pro": "2.4"}
OTHERS = "another program"


def run_batch(folder, day: str, rows: int) -> None:
    """A batch of the DAG `d`, as Airflow runs it on a day."""
    scenes = list(SCENES)
    lines = [
        {"id": f"{day}-{number}", "effect_scene": scenes[number % 3], "image": f"https://example.com/{number}.jpg"}
        for number in range(rows)
    ]
    lines.append({"id": f"{day}-risky", "effect_scene": "squish", "image": "https://example.com/risk.jpg"})
    folder.mkdir(parents=True)
    (folder / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with DAG("d", schedule=None):
        batch = KlingEffectBatchOperator(task_id="b", manifest=str(folder / "m.jsonl"), results=str(folder), save_to=None)
    assert FakeAirflow(run_id=f"scheduled__{day}").run(batch).state == "success"


@pytest.mark.integration
@pytest.mark.kling_emulator(
    slots=50,
    duration=0,
    manual_clock=True,
    videos="clip",
    price=tuple(f"{scene}={units}" for scene, units in SCENES.items()),
    pack=("first=33", "second=50", "third=1000"),
    charge_failed=True,
    billing_delay=3600.0,
)
def test_a_month_reconciled_to_the_last_unit_with_ten_charges_of_another_program(kling, tmp_path):
    start = pendulum.now("UTC").start_of("day").add(days=1)
    kling.advance((start - pendulum.now("UTC")).total_seconds() + 3600)
    for day in range(30):
        date = start.add(days=day).to_date_string()
        run_batch(tmp_path / "out" / date, date, 4)
        if day % 3 == 0:
            kling.charge("0.7")
        kling.advance(DAY if day < 29 else 60)

    span = span_of(start.date(), start.add(days=29).date())

    def month(now: datetime) -> tuple[Sums, list[dict]]:
        sums = Sums()
        options = {"conn_ids": ["kling_default"], "sources": [str(tmp_path / "out")], "now": now}
        with reconcile(span, **options, log=lambda text: None) as (_, found):
            lines = list(found)
        for line in lines:
            sums.add(line)
        return sums, lines

    # At once, the charges of the last day do not show yet: too early to say, and none of them is called missing.
    now = start.add(days=29, hours=1, minutes=1)
    early, _ = month(now)
    assert early.counts["not_charged"] == early.counts["units_differ"] == 0
    assert early.counts["too_early"] == 5
    kling.advance(DAY)
    sums, lines = month(now.add(days=1))

    ledger = {task["kling_task_id"]: task for task in kling.ledger}
    truth = sum(Decimal(task["units"]) for task in ledger.values())
    assert sums.total.units == truth + 10 * Decimal("0.7") == Decimal(kling.state["spent"])
    assert sums.total.units == early.total.units + early.total.missing_units
    by_state = {state: count for state, count in sums.counts.items() if count}
    assert by_state["unknown"] == 10
    assert {line["api_key_name"] for line in lines if line["state"] == "unknown"} == {OTHERS}
    assert set(by_state) == {"unknown", "matched"}
    # Each charge is that of its task and row, and packs that ended in the middle of one have made two of it.
    of_tasks = Counter()
    for line in lines:
        if line["state"] == "matched":
            task = ledger[line["kling_task_id"]]
            of_tasks[line["kling_task_id"]] += Decimal(line["amount"])
            assert (line["external_task_id"], line["effect_scene"]) == (task["external_task_id"], task["effect_scene"])
            assert (line["dag_id"], line["run_id"]) == ("d", f"scheduled__{line['day']}")
            assert line["row_id"].startswith(line["day"])
    assert of_tasks == {task_id: Decimal(task["units"]) for task_id, task in ledger.items()}
    split = [task_id for task_id, count in Counter(charge["task_id"] for charge in kling.charges).items() if count > 1]
    assert sums.several == len(split) > 0
    # … and so are the sums.
    assert {name: one.units for name, one in sums.rows("dag")} == {"d": truth, None: 7}
    by_scene = Counter()
    for task in ledger.values():
        by_scene[task["effect_scene"]] += Decimal(task["units"])
    assert {name: one.units for name, one in sums.rows("scene") if name} == by_scene
    assert [name for name, _ in sums.rows("day")] == [start.add(days=day).to_date_string() for day in range(30)]
    assert {name: one.units for name, one in sums.rows("key")} == {"API key 1": truth, OTHERS: 7}


def test_a_month_of_a_hundred_thousand_tasks_needs_little_memory():
    """Results are streamed: what is kept of a task is what its charge is joined with."""
    span = span_of("2026-11-01", "2026-11-30")
    ledger = Ledger(span=span, as_of=datetime(2026, 12, 5, tzinfo=timezone.utc))
    video = {"url": "https://cdn.example.com/v.mp4" + "x" * 900}
    base = {"effect_scene": "squish", "units": "2.5", "created_at": "2026-11-12T00:00:00Z", "status": "succeed"}

    tracemalloc.start()
    for number in range(3_000):
        line = {**base, "id": f"row-{number}", "kling_task_id": f"1795{number:014}", "videos": [video], "note": "x" * 1000}
        ledger.know(task_of_line(line, dag_id="d", run_id="scheduled__2026-11-12"))
        old = {**line, "kling_task_id": f"1700{number:014}", "created_at": "2025-11-12T00:00:00Z"}
        ledger.know(task_of_line(old, dag_id="d", run_id="scheduled__2025-11-12"))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 3_000 * 1000  # bytes: 100 MB for 100,000 tasks, whatever their rows hold
    assert sum(1 for _ in ledger.lines([])) == 3_000


def test_what_is_known_comes_from_all_kinds_of_places(tmp_path):
    result = {"kling_task_id": "3", "units": "1", "row_id": "r"}
    (tmp_path / "a" / "b").mkdir(parents=True)
    line = {"id": "x", "status": "succeed", "kling_task_id": "1", "videos": [{"url": "u"}], "error": None}
    (tmp_path / "a" / "b" / "results.jsonl").write_text(json.dumps(line))
    sources = [str(tmp_path / "a"), {"results": str(tmp_path / "a" / "b" / "results.jsonl")}, result]
    found = list(known_tasks(sources, since=datetime(2026, 1, 1, tzinfo=timezone.utc)))
    assert [(task.kling_task_id, task.row_id, task.run) for task in found] == [("1", "x", "b"), ("1", "x", "b"), ("3", "r", None)]
