"""A backfill through Celery, with deaths on the way, and then half of it again: the ledger grows by each row once.

Some dates in `.ci/run`; `make month` runs 30 dates of 40 rows over 10 slots, and leaves build/compose/month.json.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from composed import Composed
from ideal import ideal
from processes import until

from airflow_provider_kling.emulator import KlingEmulator

DAG = "kling_effects_backfill"
FIRST = date(2026, 9, 1)
OUTPUT = "/opt/airflow/results/dates"
AT_ONCE = 4  # runs


class Account(KlingEmulator):
    """The emulator of the stack, which this process has not started."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url


@pytest.fixture
def kling(composed: Composed) -> Account:
    return Account(composed.emulator_url)


def runs_of(composed: Composed, days: list[str]) -> list[tuple[str, str]]:
    """The runs of these days: their ids and states."""
    query = "select run_id, state from dag_run where dag_id = %s and logical_date between %s and %s order by logical_date"
    return [(run_id, state) for run_id, state in composed.sql(query, DAG, days[0], days[-1])]


def shares_of_time(tasks: list[dict[str, Any]], slots: int) -> float:
    """The part of the slots that was used from the first create to the last one."""
    first, last = tasks[0]["created_at"], max(task["created_at"] for task in tasks)
    return sum(min(task["ends_at"], last) - task["created_at"] for task in tasks) / (slots * (last - first))


def test_a_backfill_whose_worker_and_triggerer_die_pays_for_each_row_once(
    composed: Composed, kling: Account, manifests: Path, request: pytest.FixtureRequest
):
    dates, rows = request.config.getoption("--dates"), request.config.getoption("--rows")
    emulator = composed.file.services["kling-emulator"].environment
    slots, seconds = int(emulator["KLING_EMULATOR_SLOTS"]), float(emulator["KLING_EMULATOR_DURATION"])
    days = [(FIRST + timedelta(days=number)).isoformat() for number in range(dates)]
    for day in days:
        lines = [f"{day}-{row},squish,https://example.com/{day}/{row}.jpg" for row in range(1, rows)]
        lines.append(f"{day}-0,squish,images/china.jpg")
        (manifests / f"{day}.csv").write_text("\n".join(["id,effect_scene,image", *lines]) + "\n")
    before = len(kling.ledger)
    made = lambda: len(kling.ledger) - before  # noqa: E731
    patience = 60 + 4 * dates * rows * seconds / slots + 30 * dates
    wanted = dates * rows
    usage = composed.usage()
    composed.airflow("dags", "unpause", DAG)
    started = time.time()
    span = ("--from-date", days[0], "--to-date", days[-1])
    composed.airflow("backfill", "create", "--dag-id", DAG, *span, "--max-active-runs", str(AT_ONCE))

    until("a quarter is made", lambda: made() >= wanted // 4, timeout=patience, told=composed.tails)
    worker = composed.replicas("airflow-worker")[0]
    composed.kill(worker)
    composed.restart(worker)
    until("half is made", lambda: made() >= wanted // 2, timeout=patience, told=composed.tails)
    triggerer = composed.replicas("airflow-triggerer")[0]
    composed.kill(triggerer)
    until("five eighths are made", lambda: made() >= wanted * 5 // 8, timeout=patience, told=composed.tails)
    composed.restart(triggerer)

    def ended() -> bool:
        states = [state for _, state in runs_of(composed, days)]
        return len(states) == dates and not set(states) - {"success", "failed"}

    until("all runs have ended", ended, timeout=patience, told=lambda: f"{runs_of(composed, days)}\n{composed.tails()}", every=0.5)
    took = time.time() - started
    tasks = kling.ledger[before:]
    spent = {name: (one.cpu - usage[name].cpu, one.peak) for name, one in composed.usage().items()}
    assert {state for _, state in runs_of(composed, days)} == {"success"}
    judge(composed, days, rows, tasks)

    # Half of the days once more.
    loaded = len(kling.requests("video"))
    for run_id, _ in runs_of(composed, days)[::2]:
        composed.ask("POST", f"dags/{DAG}/dagRuns/{run_id}/clear", json={"dry_run": False})
    again = time.time()
    until("the cleared runs have ended", ended, timeout=patience, told=composed.tails, every=0.5)
    judge(composed, days, rows, kling.ledger[before:])
    assert len(kling.requests("video")) == loaded

    best = ideal([task["ends_at"] - task["created_at"] for task in tasks], slots)
    told = {
        "dates": dates,
        "rows": rows,
        "slots": slots,
        "seconds_a_task": seconds,
        "kling_tasks": len(tasks),
        "took": round(took, 1),
        "ideal": round(best, 1),
        "ratio": round(took / best, 3),
        "slot_use": round(shares_of_time(tasks, slots), 3),
        "again": {"dates": math.ceil(dates / 2), "took": round(time.time() - again, 1), "kling_tasks": 0},
        "requests": dict(Counter(f"{one['kind']} {one['code'] or one['status']}" for one in kling.journal)),
        "services": {name: {"cpu_seconds": round(cpu, 1), "peak_mb": round(peak / 2**20)} for name, (cpu, peak) in spent.items()},
    }
    (composed.folder / "month.json").write_text(json.dumps(told, indent=1) + "\n")
    request.config.get_terminal_writer().line(f"\n{json.dumps(told, indent=1)}")


def judge(composed: Composed, days: list[str], rows: int, tasks: list[dict[str, Any]]) -> None:
    """One paid task for each row, and each row's result and file."""
    assert len(tasks) == len({task["external_task_id"] for task in tasks}) == len(days) * rows
    owned = set()
    for day in days:
        lines = [json.loads(line) for line in composed.inside(f"{OUTPUT}/{day}/results.jsonl").read_text().splitlines()]
        assert [line["id"] for line in lines] == [f"{day}-{row}" for row in [*range(1, rows), 0]]
        assert {line["status"] for line in lines} == {"succeed"}
        assert all(composed.inside(video["path"]).stat().st_size for line in lines for video in line["videos"])
        owned |= {line["kling_task_id"] for line in lines}
    assert owned == {task["kling_task_id"] for task in tasks}
    table = composed.inside(f"{OUTPUT}/results.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["run"] in days for line in table) == len(days) * rows
