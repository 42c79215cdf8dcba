"""Measures many triggers on one event loop: `python waiters.py <count> <seconds of a Kling task>` prints JSON.

The triggers are created from their rows, as a triggerer does. No Airflow runs, so its own costs are not measured.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import statistics
import sys
import time
from types import SimpleNamespace
from typing import Any

import psutil
from accounts import Load, open_account
from machine import cpu, newest_child

from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.triggers import KlingTaskTrigger

STARTUP = 5.0  # seconds within which all triggers start
CREATES_AT_ONCE = 16
TICK = 0.01  # seconds between two measurements of the event loop's lag
POLL_INTERVAL = 10.0
TASK_INSTANCE: Any = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)


async def create_tasks(count: int) -> list[str]:
    """Create this many tasks, and return their Kling ids."""
    ids: list[str] = []
    slots = asyncio.Semaphore(CREATES_AT_ONCE)

    async def create(number: int, hook: KlingHook) -> None:
        async with slots:
            request = EffectRequest("squish", [f"https://example.com/{number}.jpg"])
            ids.append((await hook.acreate_task(request, external_task_id=f"r{number}")).kling_task_id)

    async with KlingHook() as hook:
        await asyncio.gather(*(create(number, hook) for number in range(count)))
    return ids


async def measure_lag(found: list[float]) -> None:
    """Append the event loop's lag in seconds, until it is cancelled."""
    while True:
        start = time.perf_counter()
        await asyncio.sleep(TICK)
        found.append(time.perf_counter() - start - TICK)


async def wait(kling_task_id: str, *, started: float, noticed: dict[str, float]) -> None:
    """Run a trigger until its event, and store the time of the event."""
    kwargs = KlingTaskTrigger(
        kling_task_id=kling_task_id,
        kling_conn_id="kling_default",
        deadline=started + 3600,
        poll_interval=POLL_INTERVAL,
        not_before=started + 10,
    ).serialize()[1]
    trigger = KlingTaskTrigger(**kwargs)
    trigger.task_instance = TASK_INSTANCE  # as in a triggerer: no event is sent in the first ten seconds
    async for event in trigger.run():
        assert event.payload["task"], event  # noqa: S101
    noticed[kling_task_id] = time.time()


async def measure(count: int, seconds: float) -> dict[str, Any]:
    kling = open_account(Load(count, seconds))
    try:
        os.environ["AIRFLOW_CONN_KLING_DEFAULT"] = kling.connection()
        emulator = newest_child("airflow_provider_kling.emulator")
        ids = await create_tasks(count)
        requests_before = dict(kling.state["requests"])
        emulator_cpu, own_cpu, memory = cpu([emulator]), time.process_time(), psutil.Process().memory_info().rss
        noticed: dict[str, float] = {}
        lag: list[float] = []
        started = time.time()
        measuring = asyncio.create_task(measure_lag(lag))
        waiters = [asyncio.create_task(wait(kling_task_id, started=started, noticed=noticed)) for kling_task_id in ids]
        await asyncio.sleep(STARTUP)
        grown = psutil.Process().memory_info().rss - memory
        await asyncio.gather(*waiters)
        measuring.cancel()
        took = time.time() - started
        sent = {kind: kling.state["requests"].get(kind, 0) - requests_before.get(kind, 0) for kind in ("list", "get")}
        ends = {task["kling_task_id"]: task["ends_at"] for task in kling.ledger}
        delays = [noticed[kling_task_id] - max(ends[kling_task_id], started) for kling_task_id in ids]
        return {
            "waiters": count,
            "took": round(took, 1),
            "requests": sent,
            "requests_per_second": round(sum(sent.values()) / took, 2),
            **distribution(lag, delays),
            "kb_per_waiter": round(grown / 1024 / count, 1),
            "cpu": round(time.process_time() - own_cpu, 1),
            "emulator_core": round((cpu([emulator]) - emulator_cpu) / took, 3),
        }
    finally:
        kling.stop()


def distribution(lag: list[float], delays: list[float]) -> dict[str, float]:
    """Medians and percentiles of the event loop's lag, and of the seconds until an end is noticed."""
    lag, delays = sorted(lag), sorted(delays)
    return {
        "lag_p50_ms": round(1000 * statistics.median(lag), 1),
        "lag_p99_ms": round(1000 * lag[int(len(lag) * 0.99)], 1),
        "lag_worst_ms": round(1000 * lag[-1], 1),
        "noticed_after_median": round(statistics.median(delays), 2),
        "noticed_after_p95": round(delays[int(len(delays) * 0.95)], 2),
    }


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]), float(sys.argv[2])))))
