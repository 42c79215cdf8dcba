"""Faults: which requests fail, and how. Pure values; the web server acts on the replies that they make."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_kling.emulator.model.replies import Reply, refused

KINDS = ("create", "get", "list", "costs", "billing", "video")
WORDS = ("drop", "cut", "html", "empty", "slow", "token")
GATEWAY = "<html><head><title>{status} {reason}</title></head><body><center><h1>{status} {reason}</h1></center></body></html>"
REASONS = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Time-out"}


@dataclass(kw_only=True)
class Fault:
    """One fault. Raises ValueError for invalid options.

    `what` is one of
    - an error code of the API (1000 and more), with its HTTP status and an optional `message`
    - an HTTP status (400 to 599) from a gateway, with an HTML page or `body`
    - `drop`: the connection ends without an answer; `cut`: in the middle of the answer's body
    - `html`: HTTP 200 (or `status`) with an HTML page or `body`; `empty`: the same without a body
    - `slow`: the right answer, `seconds` later
    - `token`: the token is refused with `code`: 1000 to 1004

    `on` is a kind of request (create, get, list, costs, billing, video), a method (GET, POST) or any. `match` is a part of
    the task's id, external id or scene. The fault lets `skip` matching requests pass, then hits `times` of them
    (None: all), each with the probability `rate`. With `after`, the request does its work first: a create has made
    its task. `retry_after` is the value of the header of that name.
    """

    what: int | str
    on: str = "any"
    match: str = ""
    times: int | None = 1
    skip: int = 0
    rate: float = 1.0
    after: bool = False
    code: int = 1004
    status: int | None = None
    message: str | None = None
    body: str | None = None
    retry_after: float | None = None
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.what, str) and self.what.isdigit():
            self.what = int(self.what)
        if not (isinstance(self.what, int) and self.what >= 400) and self.what not in WORDS:
            raise ValueError(f"what is {self.what!r}; expected a code, an HTTP status or one of {', '.join(WORDS)}.")
        if self.on not in (*KINDS, "any", "GET", "POST"):
            raise ValueError(f"on is {self.on!r}; expected any, GET, POST or one of {', '.join(KINDS)}.")
        if self.what == "token" and self.code not in (1000, 1001, 1002, 1003, 1004):
            raise ValueError(f"code is {self.code}; a token is refused with 1000 to 1004.")

    @property
    def works_first(self) -> bool:
        """Whether the request does its work before it fails."""
        return self.after or self.what == "cut"

    def matches(self, *, kind: str, method: str, subject: Iterable[str]) -> bool:
        """Whether the fault is for such a request; `subject` are the ids and the scene that the request is about."""
        if self.times == 0 or self.on not in ("any", kind, method):
            return False
        return not self.match or any(self.match in part for part in subject)

    def distort(self, reply: Reply | None, *, request_id: str) -> Reply:
        """The answer to send instead of the right one, which is None if the request did no work."""
        answer = self._distorted(reply, request_id)
        if self.retry_after is not None:
            answer = answer.with_header("Retry-After", f"{self.retry_after:g}")
        return answer

    def to_json(self) -> dict[str, Any]:
        """The fault as JSON."""
        return asdict(self)

    def _distorted(self, reply: Reply | None, request_id: str) -> Reply:
        if self.what == "token":
            return refused(self.code, self.message, request_id=request_id)
        if isinstance(self.what, int) and self.what >= 1000:
            return refused(self.what, self.message, request_id=request_id, status=self.status)
        if isinstance(self.what, int):
            return self._page(self.what)
        if self.what == "html":
            return self._page(self.status or 200)
        if self.what == "empty":
            return Reply(status=self.status or 200)
        if self.what == "drop":
            return Reply(status=0, ending="drop")
        if reply is None:
            raise ValueError(f"{self.what} needs the right answer.")
        return reply.ending_with("cut") if self.what == "cut" else reply

    def _page(self, status: int) -> Reply:
        text = GATEWAY.format(status=status, reason=REASONS.get(status, "Error")) if self.body is None else self.body
        return Reply(status=status, body=text.encode(), content_type="text/html")


class Faults:
    """The faults that are set, the oldest first."""

    def __init__(self, *, seed: int = 0) -> None:
        self._faults: list[Fault] = []
        self._random = random.Random(seed)  # noqa: S311 - it decides which requests fail, nothing secret

    def add(self, fault: Fault) -> None:
        """Set a fault. If several match a request, the oldest hits it."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def take(self, *, kind: str, method: str, subject: Iterable[str]) -> Fault | None:
        """The fault that hits this request, if there is one. It counts as used once."""
        if not self._faults:
            return None
        subject = tuple(subject)
        for fault in self._faults:
            if fault.matches(kind=kind, method=method, subject=subject):
                if fault.skip > 0:
                    fault.skip -= 1
                elif fault.rate >= 1 or self._random.random() < fault.rate:
                    self._count(fault)
                    return fault
        return None

    def to_json(self) -> list[dict[str, Any]]:
        """The remaining faults as JSON."""
        return [fault.to_json() for fault in self._faults]

    def _count(self, fault: Fault) -> None:
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self._faults.remove(fault)
