"""One account for a whole day of virtual time: the real dispatchers of several triggerers on the emulator's account model."""

from __future__ import annotations

import asyncio
import random
import time
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from day_load import DayLoad, arrivals
from simulated import POLL_INTERVAL, SimulatedClient, wide
from virtual_time import START, virtual_time

from airflow_provider_kling.api import EFFECTS, EffectRequest
from airflow_provider_kling.batch import QUEUED
from airflow_provider_kling.client import Submission
from airflow_provider_kling.dispatch import Dispatcher
from airflow_provider_kling.emulator.model import Account, Order, Plan, Settings

OLD = 1200  # tasks of the days before: more than what is read to prove that a task does not exist (dispatch/absence)
WITHIN = 2.0  # days, after which a row that has no video is an error
KINDS = ("create", "refused", "list", "get", "absent")  # absent: a lookup by external id that found no task


@dataclass
class AccountDay:
    """What one account did in a day. Times are seconds since the day began."""

    videos: int
    cpu: float = 0.0  # seconds of this machine that the simulation took
    arrived: list[float] = field(default_factory=list)
    created: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    noticed: list[float] = field(default_factory=list)
    requests: list[tuple[float, str]] = field(default_factory=list)

    def count(self, kind: str) -> int:
        return sum(each == kind for _, each in self.requests)


class _Day:
    """The rows of a day on their way through the dispatchers of their triggerers."""

    def __init__(self, load: DayLoad, videos: int, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - nothing secret
        random.seed(seed)  # for jittered pauses
        self.load, self.videos = load, videos
        self.account = Account(Settings(slots=load.slots, duration=load.seconds), now=START - 3 * OLD)
        _make_old(self.account)
        self.account.plans = [Plan(duration=wide(chance, load.seconds)) for _ in range(videos)]
        self.clients = [SimulatedClient(self.account) for _ in range(load.triggerers)]
        # Airflow gives a trigger to any triggerer: a mapped row, or a whole batch.
        self.places = [chance.randrange(load.triggerers) for _ in range(max(videos, load.manifests))]
        self.noticed = array("d", [0.0]) * videos
        self.arrived = array("d", [0.0]) * videos

    async def run(self) -> None:
        self.dispatchers = [Dispatcher(client, EFFECTS) for client in self.clients]
        batches = [asyncio.Semaphore(QUEUED) for _ in range(self.load.manifests)]
        deadline = START + WITHIN * max(self.load.length, 3600.0) + 10 * self.load.seconds
        rows = []
        for number, (at, manifest) in enumerate(arrivals(self.load, self.videos)):
            await asyncio.sleep(START + at - time.time())
            self.arrived[number] = time.time() - START
            mapped = self.load.way == "mapped"
            queue = None if mapped else batches[manifest]
            dispatcher = self.dispatchers[self.places[number if mapped else manifest]]
            rows.append(asyncio.create_task(self._row(number, dispatcher, queue, deadline)))
        await asyncio.gather(*rows)
        for dispatcher in self.dispatchers:
            await dispatcher.close()

    async def _row(self, number: int, dispatcher: Dispatcher, queue: asyncio.Semaphore | None, deadline: float) -> None:
        request = EffectRequest("squish", [f"https://example.com/{number}.jpg"])
        submission = Submission(request=request, external_id=f"r{number}", adopt_existing=queue is None)
        create: Callable[[], Awaitable] = lambda: dispatcher.create(submission, deadline=deadline, log=_discard)  # noqa: E731
        if queue is None:
            task = await create()
        else:
            async with queue:
                task = await create()
        await dispatcher.wait(task.kling_task_id, deadline=deadline, poll_interval=POLL_INTERVAL, status=task.status, log=_discard)
        self.noticed[number] = time.time() - START


def simulate_account(load: DayLoad, number: int) -> AccountDay:
    """The day of account `number`, whose durations and jitter come from that number."""
    videos, started = load.of_account(number), time.process_time()
    with virtual_time() as loop:
        day = _Day(load, videos, seed=1000 + number)
        loop.run_until_complete(day.run())
    records = day.account.records[OLD:]
    requests = sorted((moment - START, kind) for client in day.clients for moment, kind in client.requests)
    return AccountDay(
        videos=videos,
        cpu=time.process_time() - started,
        arrived=list(day.arrived),
        created=[record.created_at - START for record in records],
        ended=[record.ends_at - START for record in records],
        noticed=list(day.noticed),
        requests=requests,
    )


def _make_old(account: Account) -> None:
    """An account has made videos before this day."""
    account.plans = [Plan(duration=1.0) for _ in range(OLD)]
    for number in range(OLD):
        account.create(Order(title="squish", external_task_id=f"old{number}"), now=START - 2 * OLD + 2 * number)


def requests_by_kind(days: list[AccountDay]) -> Counter[str]:
    return Counter(kind for day in days for _, kind in day.requests)


def _discard(_: str) -> None:
    """A log that drops its messages."""
