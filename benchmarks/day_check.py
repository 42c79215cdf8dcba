"""Runs a short day in a complete Airflow, and compares it with what the simulation says of the same day.

`python benchmarks/day_check.py [batch] [mapped]`. A day of ten minutes: six manifests a hundred seconds apart, in the sizes of a
day, for several accounts at once. Each account is an emulator of its own that has made videos before. What was predicted and
what was seen is printed as JSON, one line for each way, and written to build/day.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import machine
import paths
from accounts import slot_use
from day_account import KINDS, OLD, AccountDay, requests_by_kind, simulate_account
from day_load import DayLoad, manifest_sizes
from runs import SHARED, WAYS, airflow, cpu_by_component, write_manifest
from waiters import create_tasks

from airflow_provider_kling.emulator import KlingEmulator

BUILD = paths.ROOT / "build" / "day"
LENGTH = 600.0
LOADS = {
    "batch": DayLoad(720, "batch", slots=10, seconds=20, length=LENGTH, manifests=6, all_accounts=3),
    "mapped": DayLoad(240, "mapped", slots=8, seconds=20, length=LENGTH, manifests=6, all_accounts=2),
}
ABSENT = 1201  # the code of a lookup that found nothing


def open_accounts(load: DayLoad) -> list[KlingEmulator]:
    """An emulator for each account, in which the days before have left their tasks."""
    accounts = []
    for number in range(load.accounts):
        kling = KlingEmulator.spawn(slots=10_000, duration=0.01, jitter=0.3, seed=number, videos="clip").start()
        os.environ["AIRFLOW_CONN_KLING_DEFAULT"] = kling.connection()
        asyncio.run(create_tasks(OLD))
        kling.configure(slots=load.slots, duration=load.seconds)
        accounts.append(kling)
    return accounts


def run_day(stack: Any, load: DayLoad, accounts: list[KlingEmulator], folder: Path) -> list[Any]:
    """Start the DAG runs of all manifests at their times, and wait until all are done. Returns the runs."""
    sizes = [manifest_sizes(load.of_account(number), load.manifests) for number in range(load.accounts)]
    started, runs = time.time(), []
    for manifest in range(load.manifests):
        time.sleep(max(0.0, started + manifest * load.length / load.manifests - time.time()))
        for number in range(load.accounts):
            name = f"{load.way}-{number}-{manifest}"
            path = write_manifest(folder / name, sizes[number][manifest])
            conf = {"manifest": str(path), "output": str(folder / SHARED / name), "kling_conn_id": f"{load.way}_{number}"}
            runs.append(stack.start_run(WAYS[load.way], conf))
    for run in runs:
        run.until_done(timeout=900)
    return runs


def kind_of(request: dict[str, Any]) -> str:
    if request["kind"] == "create":
        return "refused" if request["code"] == 1303 else "create"
    return "absent" if request["kind"] == "get" and request["code"] == ABSENT else str(request["kind"])


def seen(load: DayLoad, accounts: list[KlingEmulator], before: list[int]) -> dict[str, Any]:
    """What the accounts' own journals say of the day."""
    kinds: Counter[str] = Counter()
    uses = []
    for kling, length in zip(accounts, before, strict=True):
        kinds.update(map(kind_of, kling.journal[length:]))
        ledger = kling.ledger[OLD:]
        created = [task["created_at"] for task in ledger]
        history = [(moment, used) for moment, used in kling.slot_use if moment >= min(created)]
        uses.append(slot_use(history, load.slots, min(created), max(created)))
    return summary(load, kinds, sum(uses) / len(uses), sum(len(kling.ledger) - OLD for kling in accounts))


def predicted(load: DayLoad) -> dict[str, Any]:
    """What the simulation says, with every account simulated."""
    days = [simulate_account(load, number) for number in range(load.accounts)]
    return summary(
        load, requests_by_kind(days), sum(use_of(load, day) for day in days) / len(days), sum(day.videos for day in days)
    )


def use_of(load: DayLoad, day: AccountDay) -> float:
    """The share of the slots in use between the first create and the last one."""
    changes = Counter[float]()
    for start, end in zip(day.created, day.ended, strict=True):
        changes[start] += 1
        changes[end] -= 1
    used, history = 0, []
    for moment in sorted(changes):
        used += changes[moment]
        history.append((moment, used))
    return slot_use(history, load.slots, min(day.created), max(day.created))


def summary(load: DayLoad, kinds: Counter[str], use: float, paid: int) -> dict[str, Any]:
    api = {kind: round(kinds[kind] / load.videos, 3) for kind in KINDS}
    return {"videos": paid, "requests_per_video": round(sum(api.values()), 3), **api, "slot_use": round(use, 3)}


ROWS = "select relname, n_tup_ins, n_live_tup from pg_stat_user_tables where n_tup_ins > 0"
SIZE = "select pg_database_size('airflow')"


def database(stack: Any) -> tuple[dict[str, int], int]:
    """The rows of each table, and the bytes of the whole database."""
    stack.sql("select pg_stat_clear_snapshot()")
    names = [name for name, *_ in stack.sql(ROWS)]
    rows = {name: int(stack.sql(f"select count(*) from {name}")[0][0]) for name in names}  # noqa: S608 - names of tables
    return rows, int(stack.sql(SIZE)[0][0])


def check(way: str) -> dict[str, Any]:
    load, home = LOADS[way], BUILD / way
    expected = predicted(load)
    accounts = open_accounts(load)
    try:
        with airflow(home) as stack:
            for number, kling in enumerate(accounts):
                stack.connect(f"{way}_{number}", kling.connection())
            before, cpu_before = [len(kling.journal) for kling in accounts], cpu_by_component(stack)
            (rows_before, size_before), started = database(stack), time.time()
            runs = run_day(stack, load, accounts, home / "runs")
            took = time.time() - started
            used = {name: round(seconds - cpu_before[name], 1) for name, seconds in cpu_by_component(stack).items()}
            rows, size = database(stack)
            grown = {name: round((count - rows_before.get(name, 0)) / load.videos, 2) for name, count in rows.items()}
            return {
                "way": way,
                "runs": Counter(run.state for run in runs),
                "took": round(took, 1),
                "predicted": expected,
                "seen": seen(load, accounts, before),
                "cpu": used,
                "cpu_per_video": round(sum(used.values()) / load.videos, 3),
                "rows_per_video": {name: each for name, each in sorted(grown.items()) if each >= 0.01},
                "database_bytes_per_video": round((size - size_before) / load.videos),
            }
    finally:
        for kling in accounts:
            kling.stop()


def main(ways: list[str]) -> None:
    logging.disable(logging.CRITICAL)
    BUILD.mkdir(parents=True, exist_ok=True)
    for way in ways:
        result = {**machine.conditions(), **check(way)}
        with (BUILD / "check.jsonl").open("a") as file:
            file.write(json.dumps(result) + "\n")
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(LOADS))
