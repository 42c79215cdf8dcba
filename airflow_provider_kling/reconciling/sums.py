"""The lines of the table of charges, summed by DAG, scene, day and key. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from airflow_provider_kling.reconciling.lines import text_of
from airflow_provider_kling.reconciling.states import STATES, WRONG
from airflow_provider_kling.results import count_of, units_of

GROUPS = ("dag", "scene", "day", "key", "connection", "state")  # what sums are by
_COLUMN = {"dag": "dag_id", "scene": "effect_scene", "day": "day", "key": "api_key_name", "connection": "kling_conn_id"}


@dataclass(kw_only=True)
class Sum:
    """Charges added up: their number, units, and money by currency; and the units of tasks that were not charged."""

    charges: int = 0
    units: Decimal = Decimal(0)
    money: dict[str, Decimal] = field(default_factory=dict)
    missing: int = 0
    missing_units: Decimal = Decimal(0)

    def add(self, line: Mapping[str, Any]) -> None:
        if line["amount"] is None:
            self.missing += 1
            self.missing_units += Decimal(line["units"] or 0)
            return
        self.charges += 1
        amount = Decimal(line["amount"])
        if line["paid_with"] == "units":
            self.units += amount
        else:
            currency = line["currency"] or ""
            self.money[currency] = self.money.get(currency, Decimal(0)) + amount

    def to_json(self) -> dict[str, Any]:
        """The sum as plain JSON: amounts are decimal texts."""
        return {
            "charges": self.charges,
            "units": text_of(self.units),
            "money": {currency: text_of(amount) for currency, amount in sorted(self.money.items())},
            "tasks_without_charge": self.missing,
            "units_without_charge": text_of(self.missing_units),
        }


class Sums:
    """Sums by each of GROUPS, and of all lines (`total`)."""

    def __init__(self) -> None:
        self.total = Sum()
        self.by: dict[str, dict[str | None, Sum]] = {group: {} for group in GROUPS}
        self._several: set[str] = set()

    def add(self, line: Mapping[str, Any]) -> None:
        """Add one more line."""
        self.total.add(line)
        for group in GROUPS:
            if line["amount"] is None and group in ("key", "connection"):
                continue  # what was not charged was charged to nobody
            name = line[_COLUMN.get(group, group)]
            self.by[group].setdefault(name, Sum()).add(line)
        if (line["task_charges"] or 0) > 1:
            self._several.add(line["kling_task_id"])

    @property
    def several(self) -> int:
        """The number of tasks with more than one charge."""
        return len(self._several)

    @property
    def counts(self) -> dict[str, int]:
        """The number of lines in each state."""
        by = self.by["state"]
        return {state: by[state].charges + by[state].missing if state in by else 0 for state in STATES}

    @property
    def wrong(self) -> int:
        """The number of lines that a person should look at."""
        return sum(count for state, count in self.counts.items() if state in WRONG)

    def rows(self, group: str) -> Iterator[tuple[str | None, Sum]]:
        """The sums of a group: days and states in their order, all others with the largest number of units first."""
        found = self.by[group]
        if group == "state":
            yield from ((state, found[state]) for state in STATES if state in found)
        elif group == "day":
            yield from sorted(found.items(), key=lambda one: (one[0] is None, one[0] or ""))
        else:
            yield from sorted(found.items(), key=lambda one: (-one[1].units, one[0] is None, one[0] or ""))

    def to_json(self) -> dict[str, Any]:
        """All sums: `{"dag": [{"name": …, "charges": …, …}], …}`; the name of what nobody knows is None."""
        return {group: [{"name": name, **one.to_json()} for name, one in self.rows(group)] for group in GROUPS}

    @property
    def text(self) -> str:
        """One line, like `3 charges: 7.5 units, 0.35 USD; 1 unknown, 2 matched`."""
        states = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in self.counts.items() if count)
        return f"{count_of(self.total.charges, 'charge')}: {amounts_text(self.total)}" + (f"; {states}" if states else "")


def amounts_text(one: Sum) -> str:
    """Units and money of a sum in a text: `7.5 units, 0.35 USD`."""
    money = [f"{text_of(amount)} {currency or 'of money'}" for currency, amount in sorted(one.money.items())]
    return ", ".join([units_of(one.units), *money])
