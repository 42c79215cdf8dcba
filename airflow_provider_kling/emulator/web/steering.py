"""Steering over HTTP, under `/_emulator/`: JSON in, JSON out, no credentials.

    GET  state                       settings, clock, counts          GET  ledger   every task ever made
    GET  journal?since=&kind=&limit= every request                    GET  slots    [[time, running], …]
    GET  tasks                       all tasks as the API shows them
    GET  faults                      what is still on order
    POST faults    {"what": 1303, "on": "create", "times": 2, …}      DELETE faults  none any more (`faults.Fault`)
    POST plans     {"fail": "…", "match": "…", "times": 1, …}         for tasks to come (`task.Plan`)
    POST settings  {"slots": 2, "duration": 60, …}                    as the command's flags
    POST clock     {"advance": 60}
    POST occupy    {"slots": 3}      other programs take so many slots
    POST finish    {"id": …}         ends a task now; without an id all of them
    POST fail      {"id": …, "message": "…"}                          ends it now, as failed
    POST hold      {"id": …}         it never ends                    POST forget  {"id": …}  it vanishes
    POST status    {"id": …, "status": "…"}                           shows this word; null shows the truth again
    POST expire_links {"id": …}      its links so far are dead; without an id all of them
    POST reset                       as after a start

An `id` is a Kling task id or an external id. What cannot be done is answered with HTTP 400 and `{"error": "…"}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from airflow_provider_kling.api import FAILED, PROCESSING, SUBMITTED, SUCCEED, Refusal
from airflow_provider_kling.emulator.core import Emulator
from airflow_provider_kling.emulator.model import Fault, Plan, Record, plain
from airflow_provider_kling.emulator.web.api import send

PREFIX = "/_emulator"
Verb = Callable[[dict[str, Any]], Any]


class Steering:
    """What can be read and done; each verb takes the request's JSON (or query) and returns the answer's."""

    def __init__(self, emulator: Emulator) -> None:
        self._core = emulator

    def routes(self) -> list[web.RouteDef]:
        """All routes of this module."""
        reading: list[Verb] = [self.state, self.journal, self.ledger, self.slots, self.tasks, self.faults]
        doing: list[Verb] = [
            *(self.plans, self.settings, self.clock, self.occupy, self.finish, self.fail, self.hold),
            *(self.forget, self.status, self.expire_links, self.reset),
        ]
        return [
            *(web.get(f"{PREFIX}/{verb.__name__}", _handler(verb)) for verb in reading),
            *(web.post(f"{PREFIX}/{verb.__name__}", _handler(verb)) for verb in doing),
            web.post(f"{PREFIX}/faults", _handler(self.add_fault)),
            web.delete(f"{PREFIX}/faults", _handler(self.clear_faults)),
        ]

    # --- Reading --------------------------------------------------------------------------------------------

    def state(self, given: dict[str, Any]) -> Any:
        now, account = self._core.now(), self._core.account
        statuses = dict.fromkeys((SUBMITTED, PROCESSING, SUCCEED, FAILED), 0)
        for record in account.records:
            statuses[record.status(now)] += 1
        running = account.running(now)
        return {
            "now": now,
            "tasks": {"made": len(account), **statuses},
            "slots": {"limit": self._core.settings.slots, "running": running, "occupied": account.occupied},
            "spent": str(account.spent),
            **self._core.journal.counts(),
            "settings": self._core.settings.shown(),
        }

    def journal(self, given: dict[str, Any]) -> Any:
        limit = given.get("limit")
        return self._core.journal.shown(
            since=int(given.get("since", 0)), kind=given.get("kind", ""), limit=None if limit is None else int(limit)
        )

    def ledger(self, given: dict[str, Any]) -> Any:
        now, account = self._core.now(), self._core.account
        return [record.ledger_line(now=now, units=account.units(record)) for record in account.records]

    def slots(self, given: dict[str, Any]) -> Any:
        return self._core.account.slot_use(self._core.now())

    def tasks(self, given: dict[str, Any]) -> Any:
        now, base = self._core.now(), given["base"]
        return [self._core.show(record, now=now, base=base) for record in self._core.account.records if not record.forgotten]

    def faults(self, given: dict[str, Any]) -> Any:
        return self._core.faults.shown()

    # --- Doing ----------------------------------------------------------------------------------------------

    def add_fault(self, given: dict[str, Any]) -> None:
        self._core.faults.add(Fault(**given))

    def clear_faults(self, given: dict[str, Any]) -> None:
        self._core.faults.clear()

    def plans(self, given: dict[str, Any]) -> None:
        self._core.account.plans.append(Plan(**given))

    def settings(self, given: dict[str, Any]) -> Any:
        self._core.configure(given)
        return self._core.settings.shown()

    def clock(self, given: dict[str, Any]) -> Any:
        self._core.clock.advance(float(given["advance"]))
        self._core.callbacks.wake()
        return {"now": self._core.now()}

    def occupy(self, given: dict[str, Any]) -> None:
        self._core.account.occupied = max(0, int(given["slots"]))

    def finish(self, given: dict[str, Any]) -> None:
        for record in self._records(given):
            self._core.account.finish(record, now=self._core.now())
        self._core.callbacks.wake()

    def fail(self, given: dict[str, Any]) -> None:
        record = self._record(given)
        self._core.account.finish(record, now=self._core.now(), failure=str(given.get("message") or "Task failed"))
        self._core.callbacks.wake()

    def hold(self, given: dict[str, Any]) -> None:
        self._core.account.hold(self._record(given), now=self._core.now())

    def forget(self, given: dict[str, Any]) -> None:
        self._core.account.forget(self._record(given))

    def status(self, given: dict[str, Any]) -> None:
        self._record(given).word = given.get("status") or ""

    def expire_links(self, given: dict[str, Any]) -> None:
        for record in self._records(given):
            record.epoch += 1

    def reset(self, given: dict[str, Any]) -> None:
        self._core.reset()

    def _record(self, given: dict[str, Any]) -> Record:
        return self._core.account.get(str(given["id"]))

    def _records(self, given: dict[str, Any]) -> list[Record]:
        return [self._record(given)] if given.get("id") else self._core.account.records


def _handler(verb: Verb) -> Callable[[web.Request], Any]:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            given = (
                {**request.query, "base": f"{request.scheme}://{request.host}"} if request.method == "GET" else await _json(request)
            )
            return await send(request, plain(verb(given)))
        except Refusal as refusal:
            return await send(request, plain({"error": refusal.message}, status=400))
        except (ValueError, TypeError, KeyError) as error:
            return await send(request, plain({"error": f"{type(error).__name__}: {error}"}, status=400))

    return handle


async def _json(request: web.Request) -> dict[str, Any]:
    text = await request.text()
    document = json.loads(text) if text else {}
    if not isinstance(document, dict):
        raise TypeError("wanted is a JSON object")
    return document
