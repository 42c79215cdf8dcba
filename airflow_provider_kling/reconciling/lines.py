"""The lines of the table of charges: one for each charge, and for each task that was not charged. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from airflow_provider_kling.reconciling.states import STATES
from airflow_provider_kling.results import as_units

COLUMNS = (
    *("day", "state", "charged_at", "kling_conn_id", "api_key_name", "paid_with", "amount", "currency"),
    *("kling_task_id", "dag_id", "run_id", "row_id", "effect_scene", "external_task_id"),
    *("units", "task_units", "task_charges", "status", "created_at", "ended_at"),
    *("package_id", "product_type", "product_function", "model_name", "resolution", "duration"),
    *("before", "after", "list_price", "cash_type"),
)
AMOUNTS = frozenset({"amount", "units", "task_units", "before", "after", "list_price"})


def read_line(data: Any) -> dict[str, Any] | None:
    """A line of the table that was written before, checked: known columns, plain values, amounts that are decimal texts.

    None for what is no such line.
    """
    if not isinstance(data, Mapping) or data.get("state") not in STATES:
        return None
    line = {name: data.get(name) for name in COLUMNS}
    count = line.pop("task_charges")
    if not all(value is None or isinstance(value, str) for value in line.values()) or not _is_count(count):
        return None
    if any(line[name] is not None and as_units(line[name]) is None for name in AMOUNTS):
        return None
    return {name: count if name == "task_charges" else line[name] for name in COLUMNS}


def text_of(amount: Decimal | None) -> str | None:
    """An amount as the table has it: `2.5`, never `2.50` or `1E+2`, so that equal amounts are equal texts."""
    if amount is None:
        return None
    text = format(amount, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _is_count(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))
