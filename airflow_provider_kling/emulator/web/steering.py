"""Steering over HTTP, under `/_emulator/`: JSON in, JSON out, no credentials. `visitors` says who may.

    GET  state                       settings, clock, counts          GET  ledger   every task ever made
    GET  journal?since=&kind=&limit= every request                    GET  slots    [[time, running], …]
    GET  tasks                       all tasks as the API shows them
    GET  faults                      the remaining faults
    POST faults    {"what": 1303, "on": "create", "times": 2, …}      DELETE faults  remove all (`model.Fault`)
    POST plans     {"fail": "…", "match": "…", "times": 1, …}         for the next tasks (`model.Plan`)
    POST settings  {"slots": 2, "duration": 60, …}                    as the command's flags
    POST clock     {"advance": 60}
    POST occupy    {"slots": 3}      other programs use so many slots
    POST finish    {"id": …}         ends a task now; without an id all tasks
    POST fail      {"id": …, "message": "…"}                          ends it now, as failed
    POST hold      {"id": …}         it never ends                    POST forget  {"id": …}  no query finds it
    POST status    {"id": …, "status": "…"}                           answers show this status; null: its own again
    POST expire_links {"id": …}      its links so far expire; without an id those of all tasks
    POST packs     {"name": …, "units": …, "starts_in": …, "expires_in": …}   buys a resource pack     GET packs  all, as they are
    POST charge    {"units": …, "times": …}  charges tasks that another program made    GET charges  the whole bill
    POST reset                       the state after the start

An `id` is a Kling task id or an external id. An invalid request is answered with HTTP 400 and `{"error": "…"}`, one of
another site's web page with HTTP 403.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

from airflow_provider_kling.api import FAILED, PROCESSING, SUBMITTED, SUCCEED, Refusal
from airflow_provider_kling.emulator.core import Emulator
from airflow_provider_kling.emulator.model import Fault, Plan, Record, plain
from airflow_provider_kling.emulator.web.sending import send
from airflow_provider_kling.emulator.web.visitors import why_refused

PREFIX = "/_emulator"
Action = Callable[[dict[str, Any]], Any]


class Steering:
    """The actions. Each takes the request's JSON, or its query, and returns the JSON to answer. Its name is its path."""

    def __init__(self, core: Emulator) -> None:
        self._core = core

    def routes(self) -> list[web.RouteDef]:
        """The routes of all actions."""
        reading: list[Action] = [
            self.state,
            self.journal,
            self.ledger,
            self.slots,
            self.tasks,
            self.faults,
            self.packs,
            self.charges,
        ]
        changing: list[Action] = [
            *(self.plans, self.settings, self.clock, self.occupy, self.finish, self.fail, self.hold),
            *(self.forget, self.status, self.expire_links, self.charge, self.reset),
        ]
        return [
            *(web.get(f"{PREFIX}/{action.__name__}", self._handler(action)) for action in reading),
            *(web.post(f"{PREFIX}/{action.__name__}", self._handler(action)) for action in changing),
            web.post(f"{PREFIX}/faults", self._handler(self.add_fault)),
            web.delete(f"{PREFIX}/faults", self._handler(self.clear_faults)),
            web.post(f"{PREFIX}/packs", self._handler(self.buy_pack)),
        ]

    def _handler(self, action: Action) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            if problem := why_refused(request, self._core.settings):
                return await send(request, plain({"error": problem}, status=403))
            return await _answer(request, action)

        return handle

    # --- Reading --------------------------------------------------------------------------------------------

    def state(self, params: dict[str, Any]) -> Any:
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
            "settings": self._core.settings.to_json(),
        }

    def journal(self, params: dict[str, Any]) -> Any:
        limit = params.get("limit")
        return self._core.journal.to_json(
            since=int(params.get("since", 0)), kind=params.get("kind", ""), limit=None if limit is None else int(limit)
        )

    def ledger(self, params: dict[str, Any]) -> Any:
        now, account = self._core.now(), self._core.account
        return [record.ledger_line(now=now, units=account.units(record)) for record in account.records]

    def slots(self, params: dict[str, Any]) -> Any:
        return self._core.account.slot_use(self._core.now())

    def tasks(self, params: dict[str, Any]) -> Any:
        now, base = self._core.now(), params["base"]
        return [self._core.task_data(record, now=now, base=base) for record in self._core.account.records if not record.forgotten]

    def faults(self, params: dict[str, Any]) -> Any:
        return self._core.faults.to_json()

    def packs(self, params: dict[str, Any]) -> Any:
        now, account = self._core.now(), self._core.account
        account.running(now)  # charges what has ended by now
        return [pack.to_json(now=now, delay=0.0) for pack in account.billing.packs(self._core.settings)]

    def charges(self, params: dict[str, Any]) -> Any:
        self._core.account.running(self._core.now())
        return [{"paid_with": line.paid_with, **line.to_json()} for line in self._core.account.billing.lines]

    # --- Changing -------------------------------------------------------------------------------------------

    def add_fault(self, params: dict[str, Any]) -> None:
        self._core.faults.add(Fault(**params))

    def clear_faults(self, params: dict[str, Any]) -> None:
        self._core.faults.clear()

    def plans(self, params: dict[str, Any]) -> None:
        self._core.account.plans.append(Plan(**params))

    def settings(self, params: dict[str, Any]) -> Any:
        self._core.configure(params)
        return self._core.settings.to_json()

    def clock(self, params: dict[str, Any]) -> Any:
        self._core.clock.advance(float(params["advance"]))
        self._core.changed()
        return {"now": self._core.now()}

    def occupy(self, params: dict[str, Any]) -> None:
        self._core.account.occupied = max(0, int(params["slots"]))

    def finish(self, params: dict[str, Any]) -> None:
        for record in self._records(params):
            self._core.account.finish(record, now=self._core.now())
        self._core.changed()

    def fail(self, params: dict[str, Any]) -> None:
        record = self._record(params)
        self._core.account.finish(record, now=self._core.now(), failure=str(params.get("message") or "Task failed"))
        self._core.changed()

    def hold(self, params: dict[str, Any]) -> None:
        self._core.account.hold(self._record(params), now=self._core.now())

    def forget(self, params: dict[str, Any]) -> None:
        self._core.account.forget(self._record(params))

    def status(self, params: dict[str, Any]) -> None:
        self._record(params).status_override = params.get("status") or ""

    def expire_links(self, params: dict[str, Any]) -> None:
        for record in self._records(params):
            record.epoch += 1

    def buy_pack(self, params: dict[str, Any]) -> Any:
        times = {name: float(params[name]) for name in ("starts_in", "expires_in") if params.get(name) is not None}
        name, units = str(params.get("name") or "Another pack"), _amount(params["units"])
        self._core.account.running(self._core.now())
        pack = self._core.account.billing.buy(name=name, units=units, now=self._core.now(), **times)
        return pack.to_json(now=self._core.now(), delay=0.0)

    def charge(self, params: dict[str, Any]) -> Any:
        facts = {name: str(params[name]) for name in ("kling_task_id", "api_key_name") if params.get(name)}
        units, now, account = _amount(params["units"]), self._core.now(), self._core.account
        return [account.charge_other(units, now=now, **facts) for _ in range(int(params.get("times", 1)))]

    def reset(self, params: dict[str, Any]) -> None:
        self._core.reset()

    def _record(self, params: dict[str, Any]) -> Record:
        return self._core.account.get(str(params["id"]))

    def _records(self, params: dict[str, Any]) -> list[Record]:
        return [self._record(params)] if params.get("id") else self._core.account.records


def _amount(value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"units is {value!r}; expected a decimal number.")
    return amount


async def _answer(request: web.Request, action: Action) -> web.StreamResponse:
    try:
        params = (
            {**request.query, "base": f"{request.scheme}://{request.host}"} if request.method == "GET" else await _json(request)
        )
        return await send(request, plain(action(params)))
    except Refusal as refusal:
        return await send(request, plain({"error": refusal.message}, status=400))
    except (ValueError, TypeError, KeyError) as error:
        return await send(request, plain({"error": f"{type(error).__name__}: {error}"}, status=400))


async def _json(request: web.Request) -> dict[str, Any]:
    text = await request.text()
    document = json.loads(text) if text else {}
    if not isinstance(document, dict):
        raise TypeError("expected a JSON object")
    return document
