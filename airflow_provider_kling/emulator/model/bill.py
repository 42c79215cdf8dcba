"""The bill of the account: packs, what they were charged, and the cursor of a list of charges. Pure values."""

from __future__ import annotations

import base64
import bisect
import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from airflow_provider_kling.api import PaidWith, ReceivedChargeQuery, Refusal

ZERO = Decimal(0)


@dataclass(slots=True, kw_only=True)
class Pack:
    """A resource pack. `history` has each moment at which `used` changed, with its value from then on."""

    id: str
    name: str
    units: Decimal
    bought_at: float
    starts_at: float
    ends_at: float
    used: Decimal = ZERO
    history: list[tuple[float, Decimal]] = field(default_factory=list)

    @property
    def left(self) -> Decimal:
        return max(ZERO, self.units - self.used)

    def usable(self, now: float) -> bool:
        return self.starts_at <= now < self.ends_at

    def left_at(self, moment: float) -> Decimal:
        """What was left at an earlier time."""
        place = bisect.bisect_right(self.history, moment, key=lambda entry: entry[0])
        return max(ZERO, self.units - (self.history[place - 1][1] if place else ZERO))

    def take(self, amount: Decimal, moment: float) -> tuple[Decimal, Decimal]:
        """Take units; returns what it held before and after."""
        before = self.units - self.used
        self.used += amount
        self.history.append((max(moment, self.history[-1][0] if self.history else moment), self.used))
        return before, before - amount

    def to_json(self, *, now: float, delay: float) -> dict[str, Any]:
        """The pack as `/account/costs` shows it; what is left is as late as `delay`."""
        left = self.left_at(now - delay)
        status = "toBeOnline" if now < self.starts_at else "expired" if now >= self.ends_at else "online" if left else "runOut"
        return {
            "resource_pack_name": self.name,
            "resource_pack_id": self.id,
            "resource_pack_type": "decreasing_total",
            "total_quantity": float(self.units),
            "remaining_quantity": float(left),
            "purchase_time": int(self.bought_at * 1000),
            "effective_time": int(self.starts_at * 1000),
            "invalid_time": int(self.ends_at * 1000),
            "status": status,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Deduction:
    """One line of the bill. `created_at` is when its task was created, `at` when it was charged."""

    paid_with: PaidWith
    at: float
    created_at: float
    kling_task_id: str
    api_key_name: str
    amount: Decimal
    before: Decimal
    after: Decimal
    pack: Pack | None = None
    currency: str = ""
    function: str = "Video Effects"

    def fits(self, query: ReceivedChargeQuery) -> bool:
        """Whether the query asks for it."""
        if not query.start_time <= int(self.created_at * 1000) < query.end_time:
            return False
        facts = {"api_key_name": self.api_key_name, "product_type": "video"}
        if self.pack:
            facts |= {"package_name": self.pack.name, "package_id": self.pack.id}
        return all(facts.get(name) in values for name, values in query.filters.items())

    def to_json(self) -> dict[str, Any]:
        """The line as its endpoint shows it."""
        shown: dict[str, Any] = {
            "task_id": self.kling_task_id,
            "api_key_name": self.api_key_name,
            "product_function": self.function,
            "model_name": "",
            "resolution": "720p",
            "duration": "5.1",
            "deduction_time": str(int(self.at * 1000)),
            "deduction_amount": float(self.amount),
        }
        name = "unit" if self.pack else "balance"
        shown |= {f"{name}_before_deduction": float(self.before), f"{name}_after_deduction": float(self.after)}
        if self.pack:
            return {"package_id": self.pack.id, "product_type": "video", **shown}
        return {**shown, "cash_type": "balance", "list_price": float(self.amount), "currency": self.currency}


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """Where a list of charges continues, and which list it is. To a client it is a text without meaning."""

    paid_with: str
    span: tuple[int, int]
    limit: int
    filters: dict[str, Any]
    known: int
    until: float
    newest: bool
    place: int = 0

    @property
    def query(self) -> ReceivedChargeQuery:
        filters = {name: tuple(values) for name, values in self.filters.items()}
        return ReceivedChargeQuery(start_time=self.span[0], end_time=self.span[1], limit=self.limit, filters=filters)

    def moved(self) -> Cursor:
        """The cursor of the next page."""
        return Cursor(**{**vars(self), "place": self.place + self.limit})

    def text(self) -> str:
        return base64.urlsafe_b64encode(json.dumps(vars(self)).encode()).decode()

    @classmethod
    def read(cls, text: str, paid_with: str) -> Cursor:
        """The cursor of a text. Raises Refusal 1201 for one of the other endpoint, and for any other text."""
        try:
            cursor = cls(**json.loads(base64.urlsafe_b64decode(text)))
            whole = all(isinstance(number, int) for number in (cursor.limit, cursor.known, cursor.place, *cursor.span))
        except (ValueError, TypeError):
            whole = False
        if not whole or cursor.paid_with != paid_with:
            raise Refusal(1201, "cursor is invalid")
        return cursor
