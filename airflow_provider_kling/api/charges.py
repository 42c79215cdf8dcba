"""What Kling has charged: the two billing endpoints, one page at a time (vendor's pages "Unit Deduction Detail" and
"Balance Deduction Detail", July 2026).

Both take a span of time, filters and a limit, and hand out a cursor for the rest; a cursor overrides everything else. The
vendor's page says that the span is that of the *tasks' creation*. Nothing is documented about the order, about how late
charges show, or about how long a cursor lives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import pendulum

from airflow_provider_kling.api.calls import Call
from airflow_provider_kling.api.parsing import (
    MAX_URL,
    check_span,
    milliseconds,
    read_amount,
    read_object,
    read_text,
    read_time,
    shorten,
)
from airflow_provider_kling.api.paths import MAX_CHARGES, MONEY_CHARGES_PATH, UNIT_CHARGES_PATH
from airflow_provider_kling.errors import KlingAnswerError, KlingInputError

PaidWith = Literal["units", "money"]
PAID_WITH: tuple[PaidWith, ...] = ("units", "money")

# The filters of each endpoint. One key with several values means any of them; several keys must all fit.
FILTERS: Mapping[PaidWith, tuple[str, ...]] = {
    "units": ("api_key_name", "product_type", "package_name", "package_id"),
    "money": ("api_key_name",),
}
_PATHS: Mapping[PaidWith, str] = {"units": UNIT_CHARGES_PATH, "money": MONEY_CHARGES_PATH}


@dataclass(frozen=True, kw_only=True)
class Charge:
    """One deduction for one task, from a resource pack (`paid_with` is `units`) or from the account's money (`money`).

    `amount` is in units, or in `currency`. `before` and `after` are what the pack or the account held. A task may have several
    charges, for example where a pack ended in the middle. All other texts are Kling's own, None where it tells nothing.
    """

    paid_with: PaidWith
    amount: Decimal
    kling_task_id: str | None
    charged_at: pendulum.DateTime | None
    before: Decimal | None = None
    after: Decimal | None = None
    currency: str | None = None
    list_price: Decimal | None = None
    cash_type: str | None = None
    package_id: str | None = None
    product_type: str | None = None
    product_function: str | None = None
    model_name: str | None = None
    api_key_name: str | None = None
    resolution: str | None = None
    duration: str | None = None

    @property
    def units(self) -> Decimal | None:
        """The amount in units; None for money."""
        return self.amount if self.paid_with == "units" else None

    @property
    def is_one_of_a_kind(self) -> bool:
        """Whether an equal charge is the same one: what a pack held before and after changes with each."""
        return self.before is not None and self.after is not None and self.before != self.after

    @classmethod
    def from_json(cls, data: Any, paid_with: PaidWith) -> Charge:
        """A charge as its endpoint shows it. Raises KlingAnswerError for one without an amount."""
        data = read_object(data, "a charge")
        amount = read_amount(data, "deduction_amount")
        if amount is None:
            raise KlingAnswerError(f"A charge has no deduction_amount; it holds {shorten(sorted(data))}.")
        prefix = "unit" if paid_with == "units" else "balance"
        texts = ("package_id", "product_type", "product_function", "model_name", "api_key_name", "resolution", "duration")
        return cls(
            paid_with=paid_with,
            amount=amount,
            kling_task_id=read_text(data, "task_id"),
            charged_at=read_time(data, "deduction_time"),
            before=read_amount(data, f"{prefix}_before_deduction"),
            after=read_amount(data, f"{prefix}_after_deduction"),
            currency=read_text(data, "currency"),
            list_price=read_amount(data, "list_price"),
            cash_type=read_text(data, "cash_type"),
            **{name: _any_text(data, name) for name in texts},
        )

    def to_json(self) -> dict[str, Any]:
        """The charge as plain JSON: amounts as decimal texts, the time as ISO 8601 in UTC."""
        shown: dict[str, Any] = dict(vars(self))
        for name in ("amount", "before", "after", "list_price"):
            shown[name] = None if shown[name] is None else format(shown[name], "f")
        shown["charged_at"] = None if self.charged_at is None else self.charged_at.in_timezone("UTC").to_iso8601_string()
        return shown


@dataclass(frozen=True, kw_only=True)
class ChargePage:
    """One page of charges. `next_cursor` is None on the last one."""

    charges: tuple[Charge, ...]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class ChargeQuery:
    """Which charges to read from one endpoint. Raises KlingInputError for what the API does not take."""

    paid_with: PaidWith
    start: datetime
    end: datetime
    filters: Mapping[str, Sequence[str]]
    limit: int = MAX_CHARGES

    def __post_init__(self) -> None:
        if self.paid_with not in PAID_WITH:
            raise KlingInputError(f"paid_with is {self.paid_with!r}; wanted is 'units' or 'money', or None for both.")
        for name, time in (("start", self.start), ("end", self.end)):
            if not isinstance(time, datetime) or time.utcoffset() is None:
                raise KlingInputError(f"The {name} of the span of charges is {time!r}; wanted is a time with a time zone.")
        check_span(self.start, self.end, "charges")
        if not isinstance(self.limit, int) or isinstance(self.limit, bool) or not 1 <= self.limit <= MAX_CHARGES:
            raise KlingInputError(f"limit is {self.limit!r}; the API takes 1 to {MAX_CHARGES}.")
        for name, values in self.filters.items():
            if name not in FILTERS[self.paid_with]:
                known = ", ".join(FILTERS[self.paid_with])
                raise KlingInputError(f"Charges of {self.paid_with} cannot be filtered by {name}; the API takes {known}.")
            if isinstance(values, str) or not all(isinstance(value, str) and value for value in values):
                raise KlingInputError(f"The filter {name} is {shorten(values)}; wanted is a list of texts.")
        if self.filters.get("package_name") and self.filters.get("package_id"):
            raise KlingInputError("package_name and package_id are both given; the API takes one of them.")

    @property
    def body(self) -> dict[str, Any]:
        filters = [{"key": name, "values": list(values)} for name, values in self.filters.items() if values]
        body: dict[str, Any] = {"start_time": _moment(self.start), "end_time": _moment(self.end), "limit": self.limit}
        return {**body, "filters": filters} if filters else body


def charges_call(query: ChargeQuery, cursor: str | None = None) -> Call[ChargePage]:
    """One page of charges: the first one, or the one of a cursor."""

    def parse(data: Any) -> ChargePage:
        return _page(data, query.paid_with)

    body = query.body if cursor is None else {"cursor": cursor}
    return Call(method="POST", path=_PATHS[query.paid_with], body=body, parse=parse, reads=True)


def _page(data: Any, paid_with: PaidWith) -> ChargePage:
    data = read_object(data, "a page of charges")
    detail = read_object(data.get("result"), "the result of a page of charges").get("detail")
    if detail is None:
        detail = []
    if not isinstance(detail, list):
        raise KlingAnswerError(f"The charges of a page are {shorten(detail)}, not a list.")
    if len(detail) > MAX_CHARGES:
        raise KlingAnswerError(f"A page of charges has {len(detail):,} entries; the API has {MAX_CHARGES} at most.")
    more, cursor = data.get("has_more"), data.get("next_cursor")
    if more is not None and not isinstance(more, bool):
        raise KlingAnswerError(f"has_more is {shorten(more)}, not true or false.")
    if cursor is not None and (not isinstance(cursor, str) or len(cursor) > MAX_URL):
        raise KlingAnswerError(f"next_cursor is {shorten(cursor)}, not a text.")
    if more and not cursor:
        raise KlingAnswerError("A page of charges says that there are more, and has no cursor for them.")
    charges = tuple(Charge.from_json(entry, paid_with) for entry in detail)
    return ChargePage(charges=charges, next_cursor=cursor or None if more is not False else None)


def _any_text(data: Mapping[str, Any], key: str) -> str | None:
    """A text that is only shown. A number, true or false count as one."""
    value = data.get(key)
    return read_text({key: str(value)} if isinstance(value, float | bool) else data, key)


def _moment(time: datetime) -> int:
    return milliseconds(pendulum.instance(time)) or 0
