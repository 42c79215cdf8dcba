"""The way of callbacks from Kling to the API servers: it loses some, repeats some, and slips in forged and stale ones."""

from __future__ import annotations

import itertools
import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

import requests
from callback_signing import OTHER_SECRET, signed, task_body

LOST, REPEATED, FORGED = 0.3, 0.3, 0.1
ENDS = {"succeed", "failed"}


class Postman:
    """A load balancer of its own kind. `servers` says which API servers are there; each post goes to the next one that answers.

    `posted` counts what it did with ends, and `answers` what it was answered, by the kind of the post and the word.
    """

    def __init__(self, secret: str) -> None:
        self.servers: list[str] = []
        self.posted: Counter[str] = Counter()
        self.answers: Counter[tuple[str, str]] = Counter()
        self._secret = secret
        self._chance = random.Random(7)
        self._turns = itertools.count()
        self._lock = threading.Lock()
        self._earlier: list[tuple[str, dict[str, str], bytes]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._take))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Postman:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._server.shutdown()

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """What Kling is answered: that its callback has arrived, though it may be lost."""
        ends = json.loads(body).get("task_status") in ENDS
        with self._lock:
            lost, repeated, forged = (self._chance.random() < share for share in (LOST, REPEATED, FORGED))
            self._earlier.append((path, headers, body))
            replayed = self._chance.choice(self._earlier)
        if ends:
            self.posted["lost" if lost else "repeated" if repeated else "once"] += 1
        status = 200 if lost else self._post("genuine", path, headers, body)
        if repeated and not lost:
            self._post("genuine", path, headers, body)
        if forged:
            fake = task_body(f"9{next(self._turns):09}")
            self._post("forged", path, signed(fake, OTHER_SECRET), fake)
            self._post("unsigned", path, {}, fake)
            self._post("stale", path, signed(fake, self._secret, age=600), fake)
            self._post("replayed", *replayed)
        return status

    def _post(self, kind: str, path: str, headers: dict[str, str], body: bytes) -> int:
        first = next(self._turns)
        for number in range(len(self.servers)):
            server = self.servers[(first + number) % len(self.servers)]
            try:
                response = requests.post(f"{server}{path}", data=body, headers=headers, timeout=30)
            except requests.ConnectionError:
                continue
            with self._lock:
                self.answers[kind, response.text] += 1
            return response.status_code
        return 502


def _handler(take: Callable[[str, dict[str, str], bytes], int]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name: value for name, value in self.headers.items() if name.lower().startswith(("webhook", "content-type"))}
            self.send_response(take(self.path, headers, body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing to standard error."""

    return Handler
