"""Simulates hundreds of loads in a minute, to tune when the dispatcher polls: `python simulated.py [seeds] [filter words]`.

The real dispatcher works on the emulator's account model in virtual time (`tests/virtual_time.py`): the event loop's clock
jumps to the next timer.
The numbers contain no Airflow, HTTP or CPU time. They show how well the polls are timed. The durations differ from seed to
seed, so that the tuning does not fit a single one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote

from accounts import Load, slot_use
from ideal import ideal
from virtual_time import START, virtual_time

from airflow_provider_kling.api import EFFECTS, ApiKey, Call, EffectRequest, Page, Refusal, Task, Video, error_and_advice
from airflow_provider_kling.batch import QUEUED
from airflow_provider_kling.client import AsyncClient, KlingSettings, Submission
from airflow_provider_kling.dispatch import Dispatcher
from airflow_provider_kling.emulator.model import Account, Order, Plan, Record, Settings

T = TypeVar("T")
Draw = Callable[[random.Random, float], float]  # draws the seconds of a task from the typical seconds

SEEDS = 60
LATENCY = 0.012  # seconds, of each call
ARRIVAL = 8.0  # seconds within which all mapped tasks start
POLL_INTERVAL = 10.0  # seconds, the operators' default
VIDEO = Video(id="1", url="https://example.com/1.mp4")
PHASES = ("begin", "contested", "tail")  # of polls: until the first end, until the last create, until the last end is noticed


def wide(chance: random.Random, seconds: float) -> float:
    return seconds * chance.uniform(0.7, 1.3)


def narrow(chance: random.Random, seconds: float) -> float:
    return seconds * chance.uniform(0.9, 1.1)


def skewed(chance: random.Random, seconds: float) -> float:
    """Lognormal: one task in twenty takes more than twice the median."""
    return seconds * chance.lognormvariate(0.0, 0.45)


def two_kinds(chance: random.Random, seconds: float) -> float:
    """Two scenes in one manifest; one takes three times as long as the other."""
    return seconds * chance.choice((0.5, 1.5)) * chance.uniform(0.9, 1.1)


@dataclass(frozen=True)
class Case:
    """A load, the distribution of its durations, and whether its rows arrive one by one as mapped tasks do."""

    load: Load
    draw: Draw = wide
    shape: str = "± 30 %"
    mapped: bool = False
    seeds: float = 1.0  # the share of the seeds that this case runs

    def __str__(self) -> str:
        return f"{self.load} {self.shape}{', mapped' if self.mapped else ''}"


CASES = (
    Case(Load(50, 20, 10)),
    Case(Load(50, 20, 10), mapped=True),
    Case(Load(200, 20, 10), seeds=0.3),
    Case(Load(40, 180, 5)),
    Case(Load(300, 60, 50), seeds=0.2),
    Case(Load(100, 20, 10), narrow, "± 10 %", seeds=0.5),
    Case(Load(100, 20, 10), skewed, "lognormal", seeds=0.5),
    Case(Load(100, 20, 10), two_kinds, "two kinds", seeds=0.5),
    Case(Load(20, 20, 1), seeds=0.5),
    Case(Load(100, 20, 1), seeds=0.5),
    Case(Load(100, 180, 5), seeds=0.5),
    Case(Load(1000, 30), seeds=0.1),
    Case(Load(300, 30), mapped=True, seeds=0.1),
)


class SimulatedClient(AsyncClient):
    """A client whose requests call the methods of an account model. It has no transport."""

    def __init__(self, account: Account) -> None:
        self.settings = KlingSettings(base_url="http://simulated", credentials=ApiKey("none"))
        self.account = account
        self.requests: list[tuple[float, str]] = []
        self._tasks: dict[tuple[int, str], Task] = {}

    async def send(self, call: Call[T], *, tries: int = 1, deadline: float | None = None) -> T:
        await asyncio.sleep(LATENCY / 2)
        kind = "create" if call.body is not None else "list" if call.params else "get"
        try:
            response = self._respond(kind, call)
        except Refusal as refusal:
            kind, response = "refused" if kind == "create" else "absent", refusal
        self.requests.append((time.time(), kind))
        await asyncio.sleep(LATENCY / 2)
        if isinstance(response, Refusal):
            error, _ = error_and_advice(response.code, response.message)
            raise error(response.message, code=response.code.number)
        return response  # type: ignore[no-any-return]

    async def close(self) -> None:
        pass

    def _respond(self, kind: str, call: Call[Any]) -> Any:
        if kind == "create":
            body = call.body or {}
            order = Order(title=body["effect_scene"], external_task_id=body["external_task_id"])
            return self._task(self.account.create(order, now=time.time()))
        if kind == "list":
            records = self.account.page(EFFECTS, int(call.params["pageNum"]), int(call.params["pageSize"]))
            return Page(tasks=[self._task(record) for record in records], length=len(records))
        return self._task(self.account.get(unquote(call.path.rpartition("/")[2])))

    def _task(self, record: Record) -> Task:
        """The task as it is now. It is parsed from JSON as in a response, but only once for each status."""
        now = time.time()
        key = record.serial, record.status(now)
        if key not in self._tasks:
            self._tasks[key] = Task.from_json(record.to_json(now=now, units="2.5", videos=(VIDEO,)))
        return self._tasks[key]


async def run_case(case: Case, client: SimulatedClient) -> float:
    """Run all rows of a case. Returns the time at which the last end was noticed."""
    dispatcher = Dispatcher(client, EFFECTS)
    queue = asyncio.Semaphore(case.load.videos if case.mapped else QUEUED)
    deadline = time.time() + 86_400

    async def run_row(number: int) -> None:
        await asyncio.sleep(ARRIVAL * number / case.load.videos if case.mapped else 0)
        request = EffectRequest("squish", [f"https://example.com/{number}.jpg"])
        submission = Submission(request=request, external_id=f"r{number}", adopt_existing=case.mapped)
        async with queue:
            task = await dispatcher.create(submission, deadline=deadline, log=_discard)
        await dispatcher.wait(task.kling_task_id, deadline=deadline, poll_interval=POLL_INTERVAL, status=task.status, log=_discard)

    await asyncio.gather(*map(run_row, range(case.load.videos)))
    noticed = time.time()
    await dispatcher.close()
    return noticed


def simulate(case: Case, seed: int) -> dict[str, float]:
    """The metrics of one simulated load."""
    load, chance = case.load, random.Random(seed)  # noqa: S311 - nothing secret
    random.seed(seed)  # for jittered pauses
    account = Account(Settings(slots=load.slots, duration=load.seconds), now=START)
    account.plans = [Plan(duration=case.draw(chance, load.seconds)) for _ in range(load.videos)]
    with virtual_time() as loop:
        client = SimulatedClient(account)
        noticed = loop.run_until_complete(run_case(case, client))
        history = account.slot_use(time.time())
    starts, ends = [record.created_at for record in account.records], [record.ends_at for record in account.records]
    kinds = Counter(kind for _, kind in client.requests)
    limits = (min(ends), max(starts))
    phases = Counter(PHASES[sum(moment > limit for limit in limits)] for moment, kind in client.requests if kind in ("list", "get"))
    best = ideal([end - start for start, end in zip(starts, ends, strict=True)], load.slots)
    return {
        "slot use": slot_use(history, load.slots, min(starts), max(starts)) if load.slots < load.videos else 1.0,
        "requests": len(client.requests) / load.videos,
        **{kind: kinds[kind] / load.videos for kind in ("refused", "list", "get")},
        **{phase: phases[phase] / load.videos for phase in PHASES},
        "at Kling": (max(ends) - min(starts)) / best,
        "last noticed": noticed - max(ends),
        "run": (noticed - min(starts)) / best,
    }


def _discard(_: str) -> None:
    """A log that drops its messages."""


def main(seeds: int, words: list[str]) -> None:
    """Simulate the cases whose description contains all words, and print a table."""
    print(f"{seeds} seeds, fewer for large loads; {1000 * LATENCY:g} ms for each call; mapped: rows arrive within {ARRIVAL:g} s")
    print("per video: requests, also by kind and phase; relative to the ideal: at Kling, and run (until the last end is noticed)")
    names: list[str] = []
    for case in CASES:
        if not all(word in str(case) for word in words):
            continue
        started = time.perf_counter()
        found = [simulate(case, seed) for seed in range(100, 100 + max(3, round(seeds * case.seeds)))]
        if not names:
            names = list(found[0])
            print(f"{'':36}", *(f"{name:>14}" for name in names))
        columns = [[metrics[name] for metrics in found] for name in names]
        cells = (f"{statistics.mean(column):.3f} ± {statistics.stdev(column):.3f}" for column in columns)
        print(f"{case!s:36}", *(f"{text:>14}" for text in cells), f"{time.perf_counter() - started:5.0f} s", flush=True)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS, sys.argv[2:])
