"""A small Kling account that shares nothing with the package: standard library only, with a ledger of its own.

Its lists may be late, capped or in any order, its answers may trickle, lie or break off, and its links may lead anywhere.

    with HostileKling(order="random", page_cap=10, list_lag=60) as kling:
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection(timeout=3))
        kling.answer("get", trickle(0.5))                 # each query from now on
        kling.answer("create", reset, times=1, after=True)  # the task is made, the answer is lost
        ...
        kling.wait_for("get", 2)                          # until two queries have come
        assert kling.paid_twice() == []

An answer is a function of an `Exchange`. It may write what it likes, wait with `exchange.pause`, and raise ConnectionError to
cut the connection. Kinds of requests: create, get, list, video, other.
"""

from __future__ import annotations

import collections
import json
import random
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from hostile_http import (
    Answer,
    Exchange,
    Server,
    body,
    bomb,
    box,
    cut,
    endless,
    envelope,
    half,
    hang,
    honest,
    mp4,
    read_headers,
    redirect,
    reset,
    status,
    trickle,
)

__all__ = [
    "Exchange",
    "HostileKling",
    "body",
    "bomb",
    "box",
    "cut",
    "endless",
    "envelope",
    "half",
    "hang",
    "honest",
    "mp4",
    "redirect",
    "reset",
    "status",
    "trickle",
]

PATH = "/v1/videos/effects"


# --- The account -----------------------------------------------------------------------------------------------


@dataclass
class Made:
    """A task that was paid for."""

    task_id: str
    external_id: str | None
    request: dict[str, Any]
    made_at: float
    ends_at: float
    fails: str = ""


class HostileKling:
    """The account and its server, in a thread. All attributes may be changed at any time.

    `seconds` a task takes; `slots`; `order` of lists: newest, oldest, random; `page_cap` entries of a list at most;
    `list_lag` and `lookup_lag`: seconds until a task is seen in lists, and by its external id; `omit_results` in lists;
    `fails`: the message with which the next tasks fail; `link`: the videos' URL instead of the own one, with `{id}`;
    `video`: the bytes of each; `change`: a function of each task object before it is sent.
    """

    def __init__(self, **options: Any) -> None:
        self.seconds, self.slots, self.order, self.page_cap = 0.0, 10**9, "newest", 500
        self.list_lag, self.lookup_lag, self.omit_results, self.fails = 0.0, 0.0, False, ""
        self.link, self.video, self.video_type = "{base}/video/{id}", mp4(), "video/mp4"
        self.change: Callable[[dict[str, Any]], Any] = lambda task: task
        self.random = random.Random(1)
        self.ledger: list[Made] = []
        self.requests: list[Exchange] = []
        self._counts: collections.Counter[str] = collections.Counter()
        self._by_id: dict[str, Made] = {}
        self._answers: dict[str, list[list[Any]]] = collections.defaultdict(list)
        self._changed, self._stopped = threading.Condition(threading.RLock()), threading.Event()
        for name, value in options.items():
            if not hasattr(self, name):
                raise TypeError(f"no option {name}")
            setattr(self, name, value)

    def __enter__(self) -> HostileKling:
        self._server = Server(("127.0.0.1", 0), self._serve)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def connection(self, **extra: Any) -> str:
        """The value for AIRFLOW_CONN_KLING_DEFAULT."""
        return json.dumps({"conn_type": "kling", "host": self.url, "password": "sk-hostile-key", "extra": extra})

    def answer(self, kind: str, answer: Answer, *, times: int | None = None, after: bool = False) -> None:
        """Answer the next requests of a kind so, or all. A create makes no task, except with `after`."""
        with self._changed:
            self._answers[kind].append([answer, times, after])

    def be_honest(self) -> None:
        with self._changed:
            self._answers.clear()

    def count(self, kind: str) -> int:
        with self._changed:
            return self._counts[kind]

    def wait_for(self, kind: str, count: int = 1, timeout: float = 30) -> None:
        """Wait until so many requests of a kind have come."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.count(kind) >= count, timeout):
                raise TimeoutError(f"{self.count(kind)} of {count} requests of kind {kind} came in {timeout} s")

    def paid_twice(self) -> list[str]:
        """External ids, without the number of an attempt, that have more than one task which has not failed."""
        ids = [re.sub(r"-\d{1,3}$", "", made.external_id or made.task_id) for made in self.ledger if not made.fails]
        return [name for name, times in collections.Counter(ids).items() if times > 1]

    def add(self, *tasks: Made) -> None:
        """Put tasks into the ledger, as if they had been created."""
        self.ledger += tasks
        self._by_id.update((name, made) for made in tasks for name in (made.task_id, made.external_id) if name)

    def running(self) -> int:
        return sum(made.ends_at > time.time() for made in self.ledger)

    # --- Serving

    def _serve(self, peer: socket.socket, stream: Any) -> None:
        while line := stream.readline(65536).decode("latin-1"):
            method, target, _ = line.split(" ", 2)
            headers = dict(read_headers(stream))
            data = stream.read(int(headers.get("content-length", 0)))
            exchange = Exchange(_kind(method, target), method, target, headers, data, peer, self._stopped)
            with self._changed:
                self.requests.append(exchange)
                self._counts[exchange.kind] += 1
                answer, after = self._next_answer(exchange.kind)
                if answer is honest or after or exchange.kind != "create":
                    self._fill(exchange)
                else:
                    exchange.good = envelope({"task_id": "1", "task_status": "submitted"})  # of a task that does not exist
                self._changed.notify_all()
            answer(exchange)
            if headers.get("connection", "").lower() == "close":
                return

    def _next_answer(self, kind: str) -> tuple[Answer, bool]:
        for entry in self._answers[kind]:
            answer, times, after = entry
            if times is None or times > 0:
                entry[1] = None if times is None else times - 1
                return answer, after
        return honest, False

    def _fill(self, exchange: Exchange) -> None:
        """Do what was asked for, and set the honest answer."""
        base = f"http://{exchange.headers.get('host', '')}"
        name = unquote(exchange.path.rpartition("/")[2])
        match exchange.kind:
            case "video":
                exchange.content_type, exchange.good = self.video_type, self.video
            case "create":
                exchange.status, exchange.good = self._create(json.loads(exchange.body), base)
            case "list":
                exchange.good = envelope([self._view(made, base, listed=True) for made in self._page(exchange.query)])
            case "get":
                made = self._find(name)
                exchange.status = 200 if made else 400
                missing = envelope(code=1201, message=f"Task not found by id/external id: {name}")
                exchange.good = envelope(self._view(made, base)) if made else missing
            case _:
                exchange.status, exchange.good = 404, b'{"status": 404, "error": "Not Found"}'

    def _create(self, request: dict[str, Any], base: str) -> tuple[int, bytes]:
        external_id = request.get("external_task_id")
        if external_id in self._by_id:
            return 400, envelope(code=1201, message=f"External_task_id {external_id} already exists")
        if len(self.ledger) >= self.slots and self.running() >= self.slots:
            return 429, envelope(code=1303, message="parallel task over resource pack limit")
        now = time.time()
        made = Made(str(self.random.randrange(10**17, 10**18)), external_id, request, now, now + self.seconds, self.fails)
        self.add(made)
        return 200, envelope({**self._view(made, base), "task_status": "submitted", "task_result": None})

    def _page(self, query: dict[str, str]) -> list[Made]:
        seen = [made for made in self.ledger if time.time() - made.made_at >= self.list_lag]
        if self.order == "random":
            self.random.shuffle(seen)
        elif self.order == "newest":
            seen.reverse()
        size = min(int(query.get("pageSize", 30)), self.page_cap)
        start = (int(query.get("pageNum", 1)) - 1) * size
        return seen[start : start + size]

    def _find(self, any_id: str) -> Made | None:
        made = self._by_id.get(any_id)
        if made and made.external_id == any_id and time.time() - made.made_at < self.lookup_lag:
            return None
        return made

    def _view(self, made: Made, base: str, *, listed: bool = False) -> Any:
        done = time.time() >= made.ends_at
        task = {
            "task_id": made.task_id,
            "task_status": "processing" if not done else "failed" if made.fails else "succeed",
            "task_status_msg": made.fails if done else "",
            "task_info": {"external_task_id": made.external_id},
            "created_at": int(made.made_at * 1000),
            "updated_at": int((made.ends_at if done else made.made_at) * 1000),
        }
        if task["task_status"] == "succeed" and not (listed and self.omit_results):
            url = self.link.replace("{base}", base).replace("{id}", made.task_id)
            task["task_result"] = {"videos": [{"id": f"v{made.task_id}", "url": url, "duration": "5.1"}]}
            task["final_unit_deduction"] = "2.5"
        return self.change(task)


def _kind(method: str, target: str) -> str:
    path = urlsplit(target).path
    if path.startswith("/video/"):
        return "video"
    if path == PATH:
        return "create" if method == "POST" else "list"
    return "get" if path.startswith(f"{PATH}/") else "other"
