"""The account's money: resource packs that run out and expire, and what each task was charged. Pure; callers pass the time.

What Kling does not document is decided here so: packs that expire first pay first, a task that a pack cannot pay whole is
split over the next ones, money pays when the packs have run out, and what nothing can pay overdraws the last pack.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from airflow_provider_kling.api import PaidWith, ReceivedChargeQuery, Refusal
from airflow_provider_kling.emulator.model.bill import ZERO, Cursor, Deduction, Pack
from airflow_provider_kling.emulator.model.settings import Settings, read_pack

DEFAULT_PACK = "Emulator pack"
YEAR = 365 * 86400.0


class Billing:
    """The packs, the money and the bill of one account. The settings of each call hold for it."""

    def __init__(self, *, opened_at: float) -> None:
        self.spent = ZERO  # units
        self.money_spent = ZERO
        self.reserved = ZERO  # units of tasks that have not ended
        self.lines: list[Deduction] = []
        self._opened_at = opened_at
        self._packs: dict[str, Pack] = {}
        self._bought: list[Pack] = []
        self._queried_at = {"units": -math.inf, "money": -math.inf}

    def packs(self, settings: Settings) -> list[Pack]:
        """All packs: those of the settings, then those that were bought since."""
        year = self._opened_at + YEAR
        if settings.pack:
            wanted = [
                (spec.name, spec.units, self._opened_at + spec.starts_in, self._opened_at + min(spec.expires_in, YEAR * 50))
                for spec in map(read_pack, settings.pack)
            ]
        else:
            wanted = [(DEFAULT_PACK, Decimal(str(settings.balance)), self._opened_at, year)]
        found = []
        for number, (name, units, starts_at, ends_at) in enumerate(wanted, 1):
            if name not in self._packs:
                self._packs[name] = self._new(f"emulator-pack-{number}", name, units, self._opened_at, starts_at, ends_at)
            pack = self._packs[name]
            pack.units, pack.starts_at, pack.ends_at = units, starts_at, ends_at
            found.append(pack)
        return [*found, *self._bought]

    def buy(self, *, name: str, units: Decimal, now: float, starts_in: float = 0.0, expires_in: float = YEAR) -> Pack:
        """Add a pack."""
        identity = f"emulator-pack-bought-{len(self._bought) + 1}"
        self._bought.append(self._new(identity, name, units, now, now + starts_in, now + expires_in))
        return self._bought[-1]

    def can_pay(self, price: Decimal, settings: Settings, *, now: float) -> bool:
        """Whether a task of this price may be created: something is left or, with `reserve_units`, enough for it as well."""
        left = sum((pack.left for pack in self.packs(settings) if pack.usable(now)), ZERO)
        if settings.cash:
            left += max(ZERO, Decimal(str(settings.cash)) - self.money_spent) / Decimal(str(settings.unit_price or 1))
        if not settings.reserve_units:
            return left > 0
        return left > 0 and left - self.reserved >= price

    def charge(
        self,
        amount: Decimal,
        settings: Settings,
        *,
        at: float,
        created_at: float,
        kling_task_id: str,
        api_key_name: str,
        function: str = "Video Effects",
    ) -> None:
        """Charge a task, which may take several packs."""
        self.spent += amount
        facts: dict[str, Any] = {
            "at": at,
            "created_at": created_at,
            "kling_task_id": kling_task_id,
            "api_key_name": api_key_name,
            "function": function,
        }
        parts, rest = self._parts(amount, settings, at)
        for pack, part in parts:
            before, after = pack.take(part, at)
            self.lines.append(Deduction(paid_with="units", amount=part, before=before, after=after, pack=pack, **facts))
        if rest:
            money = rest * Decimal(str(settings.unit_price))
            before = Decimal(str(settings.cash)) - self.money_spent
            self.money_spent += money
            line = Deduction(
                paid_with="money", amount=money, before=before, after=before - money, currency=settings.currency, **facts
            )
            self.lines.append(line)

    def costs(self, settings: Settings, *, now: float, name: str | None) -> dict[str, Any]:
        """The `data` of `/account/costs`."""
        packs = [
            pack.to_json(now=now, delay=settings.balance_delay) for pack in self.packs(settings) if name in (None, "", pack.name)
        ]
        return {"code": 0, "msg": "SUCCEED", "resource_pack_subscribe_infos": packs}

    def query(self, paid_with: PaidWith, query: ReceivedChargeQuery, settings: Settings, *, now: float) -> dict[str, Any]:
        """The `data` of a billing endpoint. Raises Refusal 1302 if it is called too often, 1201 for a cursor that it never gave.

        A cursor continues the list as it was at the first page, however many charges come meanwhile.
        """
        if now - self._queried_at[paid_with] < settings.billing_interval:
            raise Refusal(1302)
        self._queried_at[paid_with] = now
        first = Cursor(
            paid_with=paid_with,
            span=(query.start_time, query.end_time),
            limit=query.limit,
            filters=dict(query.filters),
            known=len(self.lines),
            until=now - settings.billing_delay,
            newest=settings.list_order != "oldest",
        )
        cursor = Cursor.read(query.cursor, paid_with) if query.cursor else first
        fitting = [
            line
            for line in self.lines[: cursor.known]
            if line.paid_with == paid_with and line.at <= cursor.until and line.fits(cursor.query)
        ]
        if cursor.newest:
            fitting.reverse()
        page = fitting[cursor.place : cursor.place + cursor.limit]
        more = cursor.place + cursor.limit < len(fitting)
        return {
            "result": {"detail": [line.to_json() for line in page], "count": len(page)},
            "next_cursor": cursor.moved().text() if more else "",
            "has_more": more,
        }

    def _parts(self, amount: Decimal, settings: Settings, at: float) -> tuple[list[tuple[Pack, Decimal]], Decimal]:
        """What each pack pays of an amount, and what money pays."""
        packs = self.packs(settings)
        parts, rest = [], amount
        for pack in sorted((pack for pack in packs if pack.usable(at)), key=lambda pack: pack.ends_at):
            if rest and (part := min(rest, pack.left)):
                parts.append((pack, part))
                rest -= part
        if rest and not settings.cash:  # nothing pays for it, and the task is made: the last pack is overdrawn
            pack, part = parts.pop() if parts else (packs[-1], ZERO)
            parts.append((pack, part + rest))
            rest = ZERO
        return parts, rest

    @staticmethod
    def _new(identity: str, name: str, units: Decimal, bought_at: float, starts_at: float, ends_at: float) -> Pack:
        return Pack(id=identity, name=name, units=units, bought_at=bought_at, starts_at=starts_at, ends_at=ends_at)
