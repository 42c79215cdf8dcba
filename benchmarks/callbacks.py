"""Load on the receiver of callbacks: `python benchmarks/callbacks.py [--rate 500] [--seconds 60] [--runs 2]`.

One API server of Airflow with one worker process, on PostgreSQL, and one sender, all on this machine. One callback comes first: for
it, the server builds the plugin's application. Each of the others is the end of another task, signed; one in ten is sent twice,
one in ten forged. The sender keeps to its rate whatever the answers take: latency counts from the moment at which a callback was
due. Prints the conditions and every run. Its files are in build/callbacks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import machine
import paths
import psutil
import requests

BUILD = paths.ROOT / "build" / "callbacks"
from callback_signing import OTHER_SECRET, SECRET, signed, task_body  # noqa: E402
from stack import Stack  # noqa: E402

CONNECTIONS = 64
MEMORY_EVERY = 1.0  # seconds
INSERT = """insert into asset (name, uri, "group", extra, created_at, updated_at)
            values ('kling://kling_load', 'kling://kling_load', 'asset', '{}', now(), now())"""


class Sent(NamedTuple):
    """An answer, and the seconds from when its callback was due."""

    kind: str
    status: int
    word: str
    latency: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=500, help="callbacks a second (default: 500)")
    parser.add_argument("--seconds", type=int, default=60, help="of one run (default: 60)")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes of the API server, `[api] workers` (default: 1)")
    options = parser.parse_args()
    print(json.dumps(machine.conditions(), indent=1))
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    with Receiving(BUILD / "home", options.workers) as receiving:
        print(json.dumps({"seconds of the first answer of all": receiving.first_answer()}), flush=True)
        for number in range(options.runs):
            print(json.dumps(receiving.run(number, options.rate, options.seconds), indent=1), flush=True)


class Receiving(Stack):
    """PostgreSQL and an API server alone."""

    def __init__(self, home: Path, workers: int) -> None:
        connection = {"conn_type": "kling", "password": "k" * 32, "extra": {"webhook_secret": SECRET}}
        # With "all admins", Airflow makes a token for every request that has none.
        options = {
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__API__WORKERS": str(workers),
            "AIRFLOW_CONN_KLING_LOAD": json.dumps(connection),
        }
        super().__init__(home, options=options)

    @property
    def components(self) -> list[Any]:
        return [self.api_server]

    def healthy(self) -> bool:
        try:
            return requests.get(f"{self.url}/api/v2/version", timeout=5).ok
        except requests.RequestException:
            return False

    def start(self) -> Receiving:
        super().start()
        self.sql(INSERT)
        return self

    def first_answer(self) -> float:
        """The seconds that the first callback takes: for it, the server builds the application and looks up the connection."""
        (sent,), _ = asyncio.run(send(self.url, callbacks(-1, 1, 1), 1, psutil.Process(self.api_server.pid)))
        return round(sent.latency, 2)

    def run(self, number: int, rate: int, seconds: int) -> dict[str, Any]:
        posts = list(callbacks(number, rate, rate * seconds))
        ends = sum(kind == "first" for kind, _ in posts)
        server = psutil.Process(self.api_server.pid)
        before, events = machine.cpu([server]), self._events()
        sent, memory = asyncio.run(send(self.url, posts, rate, server))
        latencies = sorted(one.latency * 1000 for one in sent)
        return {
            "run": number + 1,
            "callbacks": len(sent),
            "ends": ends,
            "asset events": self._events() - events,
            "answers": dict(Counter(f"{one.kind}: {one.status} {one.word}" for one in sent)),
            "milliseconds": {
                name: round(latencies[min(len(latencies) - 1, int(len(latencies) * share))], 1)
                for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("most", 1))
            },
            "server's CPU ms per callback": round((machine.cpu([server]) - before) / len(sent) * 1000, 3),
            "server's memory in MB, each tenth of the run": [round(each / 2**20) for each in tenths(memory)],
        }

    def _events(self) -> int:
        return int(self.sql("select count(distinct extra ->> 'kling_task_id') from asset_event")[0][0])


def callbacks(number: int, rate: int, count: int) -> list[tuple[str, bytes]]:
    """What is sent, each as a whole HTTP request. Each task has ended a second before it is sent."""
    found: list[tuple[str, bytes]] = []
    for place in range(count):
        task_id, age = f"{number + 2}{place:012}", 1.0 - place / rate
        if place % 10 == 9:
            found.append(("repeated", found[-1][1]))
        elif place % 10 == 4:
            found.append(("forged", _request(task_body(task_id, age=age), OTHER_SECRET)))
        else:
            found.append(("first", _request(task_body(task_id, age=age), SECRET)))
    return found


def _request(body: bytes, secret: str) -> bytes:
    headers = {"Host": "airflow", "Content-Type": "application/json", "Content-Length": str(len(body)), **signed(body, secret)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /kling/callbacks/kling_load HTTP/1.1\r\n{lines}\r\n".encode() + body


async def send(url: str, posts: list[tuple[str, bytes]], rate: int, server: psutil.Process) -> tuple[list[Sent], list[int]]:
    """Send them at this rate, over connections that are kept alive."""
    place = urlsplit(url)
    due: asyncio.Queue[tuple[float, str, bytes] | None] = asyncio.Queue()
    sent: list[Sent] = []
    memory: list[int] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        while (post := await due.get()) is not None:
            moment, kind, request = post
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length:", 1)[1].split("\r\n", 1)[0])
            word = (await reader.readexactly(length)).decode()
            sent.append(Sent(kind, int(head.split(" ", 2)[1]), word, time.perf_counter() - moment))
        writer.close()

    async def watch() -> None:
        while True:
            memory.append(sum(each.memory_info().rss for each in [server, *server.children(recursive=True)]))
            await asyncio.sleep(MEMORY_EVERY)

    watching = asyncio.create_task(watch())
    working = [asyncio.create_task(connection()) for _ in range(CONNECTIONS)]
    started = time.perf_counter()
    for number, (kind, request) in enumerate(posts):
        moment = started + number / rate
        if (wait := moment - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        due.put_nowait((moment, kind, request))
    for _ in working:
        due.put_nowait(None)
    await asyncio.gather(*working)
    watching.cancel()
    return sent, memory


def tenths(values: list[int]) -> list[float]:
    size = max(1, len(values) // 10)
    return [statistics.mean(values[start : start + size]) for start in range(0, len(values), size)]


if __name__ == "__main__":
    main()
