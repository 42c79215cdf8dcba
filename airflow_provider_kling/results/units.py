"""Numbers of units: read from results, and written."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any


def is_units(value: Any) -> bool:
    """Whether it is a decimal text of a sensible number of units, as results have it."""
    return isinstance(value, str) and _number(value) is not None


def as_units(value: Any) -> Decimal | None:
    """A number of units as results have it, a decimal text; None for anything else."""
    return _number(value) if isinstance(value, str) else None


def decimal_of(units: Any) -> Decimal:
    """A number of units; 0 for what is no sensible number."""
    return (None if units is None else _number(str(units))) or Decimal(0)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text[:100])
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < 30 else None


def count_of(number: int, noun: str) -> str:
    """A number of things in a text: `1 row`, `1,200 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def units_of(units: Decimal) -> str:
    """A number of units in a text: `1 unit`, `35,000 units`; not `35.0` or `3.5E+1`."""
    return f"{units.normalize():,f} {'unit' if units == 1 else 'units'}"


def units_text(units: Decimal) -> str:
    """A number of units as data: `35000`."""
    return f"{units.normalize():f}"
