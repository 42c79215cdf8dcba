"""A backfill through Celery whose worker and triggerer are killed, and then a clear of half of it: each row is paid for once.

`.ci/run` uses a few dates. `make month` runs 30 dates of 40 rows over 10 slots, and writes build/compose/month.json.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from compose_stack import ComposeStack
from ideal import ideal
from processes import until

from airflow_provider_kling.emulator import KlingEmulator

DAG = "kling_effects_backfill"
FIRST = date(2026, 9, 1)
OUTPUT = "/opt/airflow/results/dates"
MAX_ACTIVE_RUNS = 4


class Account(KlingEmulator):
    """The emulator of the compose stack, which this process has not started."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url


@pytest.fixture
def kling(compose_stack: ComposeStack) -> Account:
    return Account(compose_stack.emulator_url)


@dataclass(frozen=True)
class Backfill:
    """A backfill over some dates, each with a manifest of the same number of rows."""

    stack: ComposeStack
    days: list[str]
    rows: int
    slots: int
    seconds: float

    @property
    def total_rows(self) -> int:
        return len(self.days) * self.rows

    def write_manifests(self, folder: Path) -> None:
        for day in self.days:
            lines = [f"{day}-{row},squish,https://example.com/{day}/{row}.jpg" for row in range(1, self.rows)]
            lines.append(f"{day}-0,squish,images/china.jpg")
            (folder / f"{day}.csv").write_text("\n".join(["id,effect_scene,image", *lines]) + "\n")

    def create(self) -> None:
        dates = ("--from-date", self.days[0], "--to-date", self.days[-1])
        self.stack.airflow("backfill", "create", "--dag-id", DAG, *dates, "--max-active-runs", str(MAX_ACTIVE_RUNS))

    def runs(self) -> list[tuple[str, str]]:
        """The ids and states of the runs, by date."""
        query = "select run_id, state from dag_run where dag_id = %s and logical_date between %s and %s order by logical_date"
        return [(run_id, state) for run_id, state in self.stack.sql(query, DAG, self.days[0], self.days[-1])]

    def until(self, what: str, condition: Any, *, interval: float = 0.1) -> None:
        timeout = 60 + 4 * self.total_rows * self.seconds / self.slots + 30 * len(self.days)
        until(what, condition, timeout=timeout, describe=self.describe, interval=interval)

    def until_ended(self) -> None:
        def ended() -> bool:
            states = [state for _, state in self.runs()]
            return len(states) == len(self.days) and not set(states) - {"success", "failed"}

        self.until("all runs have ended", ended, interval=0.5)

    def clear_every_other_run(self) -> None:
        for run_id, _ in self.runs()[::2]:
            self.stack.request("POST", f"dags/{DAG}/dagRuns/{run_id}/clear", json={"dry_run": False})

    def check(self, tasks: list[dict[str, Any]]) -> None:
        """Assert that there is one paid task for each row, and that each row has its result and its file."""
        assert len(tasks) == len({task["external_task_id"] for task in tasks}) == self.total_rows
        in_results = set()
        for day in self.days:
            lines = [json.loads(line) for line in self.stack.host_path(f"{OUTPUT}/{day}/results.jsonl").read_text().splitlines()]
            assert [line["id"] for line in lines] == [f"{day}-{row}" for row in [*range(1, self.rows), 0]]
            assert {line["status"] for line in lines} == {"succeed"}
            assert all(self.stack.host_path(video["path"]).stat().st_size for line in lines for video in line["videos"])
            in_results |= {line["kling_task_id"] for line in lines}
        assert in_results == {task["kling_task_id"] for task in tasks}
        table = self.stack.host_path(f"{OUTPUT}/results.jsonl").read_text().splitlines()
        assert sum(json.loads(line)["run"] in self.days for line in table) == self.total_rows

    def describe(self) -> str:
        return f"{self.runs()}\n{self.stack.log_tails()}"


def kill_on_the_way(backfill: Backfill, kling: Account, already_paid: int) -> None:
    """Kill a worker after a quarter of the tasks and a triggerer after half of them, and start both again."""
    stack = backfill.stack
    created = lambda: len(kling.ledger) - already_paid  # noqa: E731
    backfill.until("a quarter of the tasks exists", lambda: created() >= backfill.total_rows // 4)
    worker = stack.replicas("airflow-worker")[0]
    stack.kill(worker)
    stack.restart(worker)
    backfill.until("half of the tasks exist", lambda: created() >= backfill.total_rows // 2)
    triggerer = stack.replicas("airflow-triggerer")[0]
    stack.kill(triggerer)
    backfill.until("five eighths of the tasks exist", lambda: created() >= backfill.total_rows * 5 // 8)
    stack.restart(triggerer)


def slot_use(tasks: list[dict[str, Any]], slots: int) -> float:
    """The share of the slots that was in use from the first create to the last one."""
    first, last = tasks[0]["created_at"], max(task["created_at"] for task in tasks)
    return sum(min(task["ends_at"], last) - task["created_at"] for task in tasks) / (slots * (last - first))


def measurements(backfill: Backfill, tasks: list[dict[str, Any]], took: float) -> dict[str, Any]:
    best = ideal([task["ends_at"] - task["created_at"] for task in tasks], backfill.slots)
    return {
        "dates": len(backfill.days),
        "rows": backfill.rows,
        "slots": backfill.slots,
        "seconds_a_task": backfill.seconds,
        "kling_tasks": len(tasks),
        "took": round(took, 1),
        "ideal": round(best, 1),
        "ratio": round(took / best, 3),
        "slot_use": round(slot_use(tasks, backfill.slots), 3),
    }


def test_a_backfill_whose_worker_and_triggerer_die_pays_for_each_row_once(
    compose_stack: ComposeStack, kling: Account, manifests: Path, request: pytest.FixtureRequest
):
    dates, rows = request.config.getoption("--dates"), request.config.getoption("--rows")
    emulator = compose_stack.file.services["kling-emulator"].environment
    slots, seconds = int(emulator["KLING_EMULATOR_SLOTS"]), float(emulator["KLING_EMULATOR_DURATION"])
    days = [(FIRST + timedelta(days=number)).isoformat() for number in range(dates)]
    backfill = Backfill(compose_stack, days, rows, slots, seconds)
    backfill.write_manifests(manifests)
    already_paid, usage = len(kling.ledger), compose_stack.usage()
    compose_stack.airflow("dags", "unpause", DAG)
    started = time.time()
    backfill.create()
    kill_on_the_way(backfill, kling, already_paid)
    backfill.until_ended()
    took = time.time() - started
    tasks = kling.ledger[already_paid:]
    used = {name: (total.cpu - usage[name].cpu, total.peak) for name, total in compose_stack.usage().items()}
    assert {state for _, state in backfill.runs()} == {"success"}
    backfill.check(tasks)

    downloads = len(kling.requests("video"))
    backfill.clear_every_other_run()
    cleared = time.time()
    backfill.until_ended()
    backfill.check(kling.ledger[already_paid:])
    assert len(kling.requests("video")) == downloads

    report = {
        **measurements(backfill, tasks, took),
        "again": {"dates": math.ceil(dates / 2), "took": round(time.time() - cleared, 1), "kling_tasks": 0},
        "requests": dict(Counter(f"{entry['kind']} {entry['code'] or entry['status']}" for entry in kling.journal)),
        "services": {name: {"cpu_seconds": round(cpu, 1), "peak_mb": round(peak / 2**20)} for name, (cpu, peak) in used.items()},
    }
    (compose_stack.folder / "month.json").write_text(json.dumps(report, indent=1) + "\n")
    request.config.get_terminal_writer().line(f"\n{json.dumps(report, indent=1)}")
