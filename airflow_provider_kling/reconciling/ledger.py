"""Charges and results joined, by the ids of Kling tasks. Pure: it is told of tasks and charges, and makes lines.

What a charge is depends on all charges of its task, so charges are told twice: `count` each of them, then make its line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pendulum

from airflow_provider_kling.api import Charge
from airflow_provider_kling.reconciling import states
from airflow_provider_kling.reconciling.known import KnownTask
from airflow_provider_kling.reconciling.lines import COLUMNS, text_of
from airflow_provider_kling.reconciling.span import DEFAULT_LATENESS, Span

ZERO = Decimal(0)
MARGIN = timedelta(days=2)  # around the span: of tasks created further away, no charge can be in it

_FROM_CHARGE = (
    *("api_key_name", "paid_with", "currency", "kling_task_id", "package_id", "product_type"),
    *("product_function", "model_name", "resolution", "duration", "cash_type"),
)


@dataclass(slots=True)
class _Total:
    """All charges of one task."""

    units: Decimal = ZERO
    charges: int = 0
    in_money: bool = False
    given_back: bool = False


@dataclass(kw_only=True)
class Ledger:
    """Tells what each charge is for, and which tasks were not charged.

    - `as_of`: when the charges were read.
    - `lateness`: how long after a task's end its charge may show.
    - `compared`: whether there are results at all; without, no charge is called unknown.
    """

    span: Span
    as_of: datetime
    lateness: timedelta = DEFAULT_LATENESS
    compared: bool = True
    repeated: int = 0  # charges that were told more than once, and count once
    _tasks: dict[str, KnownTask] = field(default_factory=dict)
    _totals: dict[str, _Total] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)

    def know(self, task: KnownTask) -> None:
        """Learn of a task. One that cannot have a charge in the span is forgotten at once."""
        created = task.created_at
        if created is not None and not self.span.start - MARGIN <= created < self.span.end + MARGIN:
            return
        known = self._tasks.get(task.kling_task_id)
        if known is None:
            self._tasks[task.kling_task_id] = task
        else:  # the one that knows its run counts, with what only the other knows
            first, second = (known, task) if known.run_id is not None or task.run_id is None else (task, known)
            self._tasks[task.kling_task_id] = first.joined_with(second)

    def count(self, charge: Charge, kling_conn_id: str) -> dict[str, Any] | None:
        """Count a charge. Returns its part of a line, for `lines`; None for one that was counted before."""
        if charge.is_one_of_a_kind:
            key = hash((charge, kling_conn_id))  # 64 bits for each charge, in the place of all of it
            if key in self._seen:
                self.repeated += 1
                return None
            self._seen.add(key)
        if charge.kling_task_id is not None:
            total = self._totals.setdefault(charge.kling_task_id, _Total())
            total.charges += 1
            total.units += charge.units or ZERO
            total.in_money = total.in_money or charge.paid_with == "money"
            total.given_back = total.given_back or charge.amount < 0
        return self._part(charge, kling_conn_id)

    def lines(self, parts: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """The line of each charge, after all were counted; then those of tasks that were not charged, by the time of their end."""
        for part in parts:
            task_id = part["kling_task_id"]
            task = self._tasks.get(task_id) if task_id else None
            total = self._totals.get(task_id) if task_id else None
            yield self._line(part, task, total, state=self._state(task, total))
        missing = [(self._ended(task), task) for task in self._tasks.values() if self._is_missing(task)]
        for ended, task in sorted(missing, key=lambda one: (one[0], one[1].kling_task_id)):
            state = states.TOO_EARLY if self._may_come(task) else states.NOT_CHARGED
            part = {"day": self.span.day_of(ended), "kling_task_id": task.kling_task_id}
            yield self._line(part, task, _Total(), state=state)

    # --- One charge

    def _part(self, charge: Charge, kling_conn_id: str) -> dict[str, Any]:
        at = charge.charged_at
        return {
            **{name: getattr(charge, name) for name in _FROM_CHARGE},
            "day": None if at is None else self.span.day_of(at),
            "charged_at": _iso(at),
            "kling_conn_id": kling_conn_id,
            **{name: text_of(getattr(charge, name)) for name in ("amount", "before", "after", "list_price")},
        }

    def _line(self, part: Mapping[str, Any], task: KnownTask | None, total: _Total | None, *, state: str) -> dict[str, Any]:
        line: dict[str, Any] = {**dict.fromkeys(COLUMNS), **part, "state": state}
        if total is not None:
            line |= {"task_units": text_of(total.units), "task_charges": total.charges}
        if task is not None:
            line |= {
                "dag_id": task.dag_id,
                "run_id": task.run_id or task.run,
                "row_id": task.row_id,
                "effect_scene": task.effect_scene,
                "external_task_id": task.external_task_id,
                "units": text_of(task.units),
                "status": task.status,
                "created_at": _iso(task.created_at),
                "ended_at": _iso(task.ended_at),
            }
        return line

    def _state(self, task: KnownTask | None, total: _Total | None) -> str:
        """What the charges of a task are, taken together."""
        if not self.compared:
            return states.NOT_COMPARED
        if task is None or total is None:
            return states.UNKNOWN
        if task.units is None:
            return states.UNITS_UNSAID
        if total.units == task.units and not total.in_money:
            return states.MATCHED
        if total.units > task.units:
            return states.UNITS_DIFFER
        if total.given_back:
            return states.REFUNDED
        if total.in_money:
            return states.PAID_IN_MONEY
        return states.TOO_EARLY if self._may_come(task) else states.UNITS_DIFFER

    # --- Tasks without a charge

    def _is_missing(self, task: KnownTask) -> bool:
        created = task.created_at
        in_span = created is not None and self.span.start <= created < self.span.end
        return in_span and bool(task.units) and task.kling_task_id not in self._totals

    def _ended(self, task: KnownTask) -> pendulum.DateTime:
        return task.ended_at or task.created_at or self.span.end

    def _may_come(self, task: KnownTask) -> bool:
        return self._ended(task) + self.lateness > self.as_of


def _iso(time: pendulum.DateTime | None) -> str | None:
    return None if time is None else time.in_timezone("UTC").to_iso8601_string()
