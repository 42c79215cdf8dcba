"""A small Kling account of its own for the tests of liveness: it shares nothing with the package but the wire.

`AccountClient` stands where the transport ends: a call becomes a response of the account, late or not at all, and is read
as in production. It does not care for deadlines: whoever must end in time has to see to it.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote

from airflow_provider_kling.api import ApiKey, Call, Response
from airflow_provider_kling.client import AsyncClient, KlingSettings
from airflow_provider_kling.errors import KlingConnectionError

T = TypeVar("T")

LONGEST_POLL = 30.0  # seconds that one poll may take, whatever the server does

FULL = (429, {"code": 1303, "message": "parallel task over resource pack limit"})
BUSY = (429, {"code": 1302, "message": "Too many requests"})
BROKEN = (503, {"code": 5001, "message": "Server temporarily unavailable"})


@dataclass(frozen=True)
class Fault:
    """What happens to one request: `kind` is busy, broken, lost or late; `seconds` a Retry-After, or until the answer."""

    kind: str
    seconds: float = 0.0


@dataclass
class RemoteTask:
    """A task at Kling."""

    kling_task_id: str
    external_task_id: str | None
    created_at: float
    ends_at: float
    listed: bool = True  # the list shows it


@dataclass
class Account:
    """An account with so many slots. `now` tells its time; it sees nothing of the clocks of its users."""

    slots: int
    now: Any
    chance: random.Random
    seconds: tuple[float, float] = (2.0, 40.0)
    order: str = "newest"
    page_cap: int = 500
    lag: float = 0.0  # seconds after which the list shows a new task
    names_videos: bool = True  # in the list
    tasks: list[RemoteTask] = field(default_factory=list)
    faults: dict[str, deque[Fault]] = field(default_factory=lambda: {"create": deque(), "list": deque(), "get": deque()})
    creates_under_way: int = 0
    polls_begun_at: list[float] = field(default_factory=list)  # of the polls that a fault holds up
    creates_held_up: int = 0
    _faulty_at: float = 0.0

    @property
    def faulty_at(self) -> float:
        """When a fault last ended; now, if one is under way. A poll that is held up is no excuse for longer than polls may take."""
        if self.creates_held_up:
            return self.now()
        return max([self._faulty_at, *(min(self.now(), at + LONGEST_POLL) for at in self.polls_begun_at)])

    @property
    def running(self) -> int:
        return sum(task.ends_at > self.now() for task in self.tasks)

    def create(self, external_task_id: str | None) -> tuple[int, Any]:
        if external_task_id and any(task.external_task_id == external_task_id for task in self.tasks):
            return 400, {"code": 1201, "message": f"External_task_id {external_task_id} already exists"}
        if self.running >= self.slots:
            return FULL
        now = self.now()
        task = RemoteTask(str(10**17 + len(self.tasks)), external_task_id, now, now + self.chance.uniform(*self.seconds))
        self.tasks.append(task)
        return 200, {"code": 0, "data": self.shown(task)}

    def get(self, any_id: str) -> tuple[int, Any]:
        for task in self.tasks:
            if any_id in (task.kling_task_id, task.external_task_id):
                return 200, {"code": 0, "data": self.shown(task)}
        return 400, {"code": 1201, "message": f"Task not found by id/external id: {any_id}"}

    def page(self, number: int, size: int) -> tuple[int, Any]:
        size = min(size, self.page_cap)
        shown = [task for task in self.tasks if task.listed and self.now() - task.created_at >= self.lag]
        if self.order == "newest":
            shown.reverse()
        elif self.order == "shuffled":
            self.chance.shuffle(shown)
        page = shown[(number - 1) * size : number * size]
        return 200, {"code": 0, "data": [self.shown(task, self.names_videos) for task in page]}

    def shown(self, task: RemoteTask, names_videos: bool = True) -> dict[str, Any]:
        done = task.ends_at <= self.now()
        data: dict[str, Any] = {"task_id": task.kling_task_id, "task_status": "succeed" if done else "processing"}
        if task.external_task_id:
            data["task_info"] = {"external_task_id": task.external_task_id}
        if done and names_videos:
            data["task_result"] = {"videos": [{"id": "1", "url": "https://example.com/1.mp4"}]}
        return data


class AccountClient(AsyncClient):
    """A client of one process for an `Account`."""

    def __init__(self, account: Account, max_concurrency: int | None) -> None:
        self.settings = KlingSettings(base_url="http://account", credentials=ApiKey("none"), max_concurrency=max_concurrency)
        self.account = account
        self.created_at = 0.0  # when a create last arrived

    async def send(self, call: Call[T], *, tries: int = 1, deadline: float | None = None) -> T:
        kind = "create" if not call.safe else "list" if call.params else "get"
        account = self.account
        if kind == "create":
            account.creates_under_way += 1
            self.created_at = account.now()
        try:
            for _ in range(tries if call.safe else 1):
                fault = account.faults[kind].popleft() if account.faults[kind] else None
                status, data, headers = await self._answer(kind, call, fault)
                if status != 503:
                    break
            if status == 0:
                raise KlingConnectionError("the connection was cut off", sent=True)
            return call.read(Response(status=status, body=json.dumps(data).encode(), headers=headers))
        finally:
            if kind == "create":
                account.creates_under_way -= 1

    async def _answer(self, kind: str, call: Call[Any], fault: Fault | None) -> tuple[int, Any, dict[str, str]]:
        account = self.account
        begun_at = account.now()
        if fault is not None and kind == "create":
            account.creates_held_up += 1
        elif fault is not None:
            account.polls_begun_at.append(begun_at)
        try:
            await asyncio.sleep(account.chance.uniform(0.01, 0.2))
            if fault is not None and fault.kind == "busy":
                return (*BUSY, {"Retry-After": f"{fault.seconds:.0f}"} if fault.seconds else {})
            if fault is not None and fault.kind == "broken":
                return (*BROKEN, {})
            status, data = self._act(kind, call)
            if fault is not None and fault.kind == "lost":
                return 0, None, {}
            await asyncio.sleep(fault.seconds if fault is not None else account.chance.uniform(0.01, 0.2))
            return status, data, {}
        finally:
            if fault is not None and kind == "create":
                account.creates_held_up -= 1
                account._faulty_at = account.now()
            elif fault is not None:
                account.polls_begun_at.remove(begun_at)
                account._faulty_at = max(account._faulty_at, min(account.now(), begun_at + LONGEST_POLL))

    def _act(self, kind: str, call: Call[Any]) -> tuple[int, Any]:
        if kind == "create":
            return self.account.create((call.body or {}).get("external_task_id"))
        if kind == "list":
            return self.account.page(int(call.params["pageNum"]), int(call.params["pageSize"]))
        return self.account.get(unquote(call.path.rpartition("/")[2]))

    async def close(self) -> None:
        pass
