"""Ten thousand triggers on one event loop: `python waiters.py <how many> <seconds of a Kling task>` prints JSON.

They are made from what stands in the database, as a triggerer does; no Airflow runs beside them, so that its own part is
not measured.
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
from machine import cpu, process_of

from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.triggers import KlingTaskTrigger

SETTLED = 5.0  # seconds after which all triggers have begun
CREATES_AT_ONCE = 16
TICK = 0.01  # seconds between two looks at the event loop's lag
POLL_INTERVAL = 10.0
TASK_INSTANCE: Any = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)


async def made(count: int) -> list[str]:
    """So many running tasks."""
    ids: list[str] = []
    at_once = asyncio.Semaphore(CREATES_AT_ONCE)

    async def one(number: int, hook: KlingHook) -> None:
        async with at_once:
            request = EffectRequest("squish", [f"https://example.com/{number}.jpg"])
            ids.append((await hook.acreate_task(request, external_task_id=f"w{number}")).kling_task_id)

    async with KlingHook() as hook:
        await asyncio.gather(*(one(number, hook) for number in range(count)))
    return ids


async def lags(found: list[float]) -> None:
    while True:
        start = time.perf_counter()
        await asyncio.sleep(TICK)
        found.append(time.perf_counter() - start - TICK)


async def measure(count: int, seconds: float) -> dict[str, Any]:
    load = Load(count, seconds)
    kling = open_account(load)
    try:
        os.environ["AIRFLOW_CONN_KLING_DEFAULT"] = kling.connection()
        emulator = process_of("airflow_provider_kling.emulator")
        ids = await made(count)
        asked = dict(kling.state["requests"])
        emulator_cpu, own_cpu, memory = cpu([emulator]), time.process_time(), psutil.Process().memory_info().rss
        noticed: dict[str, float] = {}
        lag: list[float] = []
        started = time.time()

        async def wait(kling_task_id: str) -> None:
            kwargs = KlingTaskTrigger(
                kling_task_id=kling_task_id,
                kling_conn_id="kling_default",
                deadline=started + 3600,
                poll_interval=POLL_INTERVAL,
                not_before=started + 10,
            ).serialize()[1]
            trigger = KlingTaskTrigger(**kwargs)
            trigger.task_instance = TASK_INSTANCE  # as in a triggerer: nothing is fired in the first ten seconds
            async for event in trigger.run():
                assert event.payload["task"], event  # noqa: S101
            noticed[kling_task_id] = time.time()

        watching = asyncio.create_task(lags(lag))
        waiters = [asyncio.create_task(wait(kling_task_id)) for kling_task_id in ids]
        await asyncio.sleep(SETTLED)
        grown = psutil.Process().memory_info().rss - memory
        await asyncio.gather(*waiters)
        watching.cancel()
        took = time.time() - started
        sent = {kind: kling.state["requests"].get(kind, 0) - asked.get(kind, 0) for kind in ("list", "get")}
        ends = {task["kling_task_id"]: task["ends_at"] for task in kling.ledger}
        late = sorted(noticed[one] - max(ends[one], started) for one in ids)
        lag.sort()
        return {
            "waiters": count,
            "took": round(took, 1),
            "requests": sent,
            "requests_per_second": round(sum(sent.values()) / took, 2),
            "lag_p50_ms": round(1000 * statistics.median(lag), 1),
            "lag_p99_ms": round(1000 * lag[int(len(lag) * 0.99)], 1),
            "lag_worst_ms": round(1000 * lag[-1], 1),
            "noticed_after_median": round(statistics.median(late), 2),
            "noticed_after_p95": round(late[int(len(late) * 0.95)], 2),
            "kb_per_waiter": round(grown / 1024 / count, 1),
            "cpu": round(time.process_time() - own_cpu, 1),
            "emulator_core": round((cpu([emulator]) - emulator_cpu) / took, 3),
        }
    finally:
        kling.stop()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]), float(sys.argv[2])))))
