"""Hundreds of loads in a minute: `python simulated.py [seeds] [words of a case]`, to tune `pace` and `poller` with.

The real dispatcher works on the emulator's pure account, in virtual time: the event loop's clock jumps to the next timer.
No Airflow, no HTTP, no processor time is in these numbers; what they show is how well the looks are placed. Durations
differ from seed to seed, so that nothing is tuned to one of them.
"""

from __future__ import annotations

import asyncio
import logging
import random
import selectors
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote

from accounts import Load, slot_use
from ideal import ideal

from airflow_provider_kling.api import Call, EffectRequest, Page, Refusal, Task, Video, kind_of
from airflow_provider_kling.batch import QUEUED
from airflow_provider_kling.client import Submission
from airflow_provider_kling.dispatch import Dispatcher
from airflow_provider_kling.emulator.model import Account, Order, Plan, Record, Settings
from airflow_provider_kling.hooks import KlingHook

T = TypeVar("T")
Draw = Callable[[random.Random, float], float]  # how long a task takes, when it typically takes so many seconds

SEEDS = 60
BEGIN = 1_800_000_000.0  # Unix seconds
LATENCY = 0.012  # seconds, of each call
ARRIVE = 8.0  # seconds in which mapped tasks come to wait
POLL_INTERVAL = 10.0  # seconds, the operators' default
VIDEO = Video(id="1", url="https://example.com/1.mp4")
PHASES = ("begin", "contested", "tail")  # list and get: until the first end, until the last create, until all is noticed


def wide(chance: random.Random, seconds: float) -> float:
    return seconds * chance.uniform(0.7, 1.3)


def narrow(chance: random.Random, seconds: float) -> float:
    return seconds * chance.uniform(0.9, 1.1)


def skewed(chance: random.Random, seconds: float) -> float:
    """Lognormal: one in twenty takes more than twice as long as half of them."""
    return seconds * chance.lognormvariate(0.0, 0.45)


def two_kinds(chance: random.Random, seconds: float) -> float:
    """Two scenes in one manifest, the one taking three times as long."""
    return seconds * chance.choice((0.5, 1.5)) * chance.uniform(0.9, 1.1)


@dataclass(frozen=True)
class Case:
    """A load, how long its tasks take, and whether its rows come one by one, as mapped tasks do."""

    load: Load
    draw: Draw = wide
    shape: str = "± 30 %"
    mapped: bool = False
    seeds: float = 1.0  # the part of the seeds that is worth the time

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
    Case(Load(1000, 30), seeds=0.1),
    Case(Load(300, 30), mapped=True, seeds=0.1),
)


class Virtual(selectors.DefaultSelector):
    """A selector that does not wait: the time it is to wait for has passed at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("Everybody waits, and nobody for a time.")
        if timeout > 0:
            self.now += timeout
        return super().select(0)


@contextmanager
def virtual_time() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop whose clock jumps to the next timer; `time.time` follows it."""
    virtual, real = Virtual(), time.time
    loop = asyncio.SelectorEventLoop(virtual)
    loop.time = lambda: virtual.now  # type: ignore[method-assign]
    time.time = lambda: BEGIN + virtual.now
    try:
        yield loop
    finally:
        time.time = real
        loop.close()


class Kling(KlingHook):
    """A hook whose requests are calls of the account's functions."""

    def __init__(self, account: Account) -> None:
        super().__init__()
        self.account = account
        self.requests: list[tuple[float, str]] = []
        self._tasks: dict[tuple[int, str], Task] = {}

    async def acall(self, call: Call[T], *, tries: int = 1) -> T:
        await asyncio.sleep(LATENCY / 2)
        kind = "create" if call.body is not None else "list" if call.params else "get"
        try:
            answer = self._answer(kind, call)
        except Refusal as refusal:
            kind, answer = "refused", refusal
        self.requests.append((time.time(), kind))
        await asyncio.sleep(LATENCY / 2)
        if isinstance(answer, Refusal):
            error, _ = kind_of(answer.code, answer.message)
            raise error(answer.message, code=answer.code.number)
        return answer  # type: ignore[no-any-return]

    async def most_slots(self) -> int | None:
        return None

    async def aclose(self) -> None:
        pass

    def _answer(self, kind: str, call: Call[Any]) -> Any:
        if kind == "create":
            body = call.body or {}
            order = Order(effect_scene=body["effect_scene"], external_task_id=body["external_task_id"])
            return self._shown(self.account.create(order, now=time.time()))
        if kind == "list":
            records = self.account.page(int(call.params["pageNum"]), int(call.params["pageSize"]))
            return Page(tasks=[self._shown(record) for record in records], length=len(records))
        return self._shown(self.account.get(unquote(call.path.rpartition("/")[2])))

    def _shown(self, record: Record) -> Task:
        """The task as it is now. It is read from JSON, as any answer, once for each status."""
        now = time.time()
        key = record.serial, record.status(now)
        if key not in self._tasks:
            self._tasks[key] = Task.from_json(record.shown(now=now, units="2.5", videos=(VIDEO,)))
        return self._tasks[key]


async def work(case: Case, kling: Kling) -> float:
    """All rows of a case; when the last one is through."""
    dispatcher = Dispatcher(kling)
    queue = asyncio.Semaphore(case.load.videos if case.mapped else QUEUED)
    deadline = time.time() + 86_400

    async def row(number: int) -> None:
        await asyncio.sleep(ARRIVE * number / case.load.videos if case.mapped else 0)
        submission = Submission(request=EffectRequest("squish", [f"https://example.com/{number}.jpg"]), external_id=f"w{number}")
        async with queue:
            task = await dispatcher.create(submission, adopt_existing=case.mapped, deadline=deadline, say=_unheard)
        await dispatcher.wait(task.kling_task_id, deadline=deadline, poll_interval=POLL_INTERVAL, status=task.status, say=_unheard)

    await asyncio.gather(*map(row, range(case.load.videos)))
    noticed = time.time()
    await dispatcher.close()
    return noticed


def simulate(case: Case, seed: int) -> dict[str, float]:
    """What came of one load."""
    load, chance = case.load, random.Random(seed)  # noqa: S311 - nothing secret
    random.seed(seed)  # of pauses that are jittered
    account = Account(Settings(slots=load.slots, duration=load.seconds), now=BEGIN)
    account.plans = [Plan(duration=case.draw(chance, load.seconds)) for _ in range(load.videos)]
    with virtual_time() as loop:
        kling = Kling(account)
        noticed = loop.run_until_complete(work(case, kling))
        line = account.slot_use(time.time())
    begun, ends = [record.created_at for record in account.records], [record.ends_at for record in account.records]
    kinds = Counter(kind for _, kind in kling.requests)
    limits = (min(ends), max(begun))
    phases = Counter(PHASES[sum(moment > limit for limit in limits)] for moment, kind in kling.requests if kind in ("list", "get"))
    best = ideal([end - start for start, end in zip(begun, ends, strict=True)], load.slots)
    return {
        "slot use": slot_use(line, load.slots, min(begun), max(begun)) if load.slots < load.videos else 1.0,
        "requests": len(kling.requests) / load.videos,
        **{kind: kinds[kind] / load.videos for kind in ("refused", "list", "get")},
        **{phase: phases[phase] / load.videos for phase in PHASES},
        "at Kling": (max(ends) - min(begun)) / best,
        "last late": noticed - max(ends),
        "run": (noticed - min(begun)) / best,
    }


def _unheard(_: str) -> None:
    pass


def main(seeds: int, words: list[str]) -> None:
    print(f"{seeds} seeds, fewer for large loads; {1000 * LATENCY:g} ms for each call; mapped: rows come within {ARRIVE:g} s")
    print("requests, also by kind and by phase, are for each video; at Kling and run (until the last end is noticed) by the ideal")
    names: list[str] = []
    for case in CASES:
        if not all(word in str(case) for word in words):
            continue
        started = time.perf_counter()
        found = [simulate(case, seed) for seed in range(100, 100 + max(3, round(seeds * case.seeds)))]
        if not names:
            names = list(found[0])
            print(f"{'':36}", *(f"{name:>14}" for name in names))
        columns = [[one[name] for one in found] for name in names]
        shown = (f"{statistics.mean(column):.3f} ± {statistics.stdev(column):.3f}" for column in columns)
        print(f"{case!s:36}", *(f"{text:>14}" for text in shown), f"{time.perf_counter() - started:5.0f} s", flush=True)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS, sys.argv[2:])
