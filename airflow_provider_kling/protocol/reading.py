"""Reading JSON, fail closed: a value of the kind that is wanted, or a KlingAnswerError that says what was seen instead."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timezone
from decimal import Decimal, InvalidOperation
from typing import Any

import pendulum

from airflow_provider_kling.errors import KlingAnswerError


def read_object(data: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise KlingAnswerError(f"An answer holds {seen(data)} where {what} is expected.")
    return data


def read_text(data: Mapping[str, Any], key: str, *, required: bool = False) -> str | None:
    value = data.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is not None and not isinstance(value, str):
        raise KlingAnswerError(f"{key} is {seen(value)}, not a text.")
    if required and not value:
        raise KlingAnswerError(f"An answer has no {key}; it holds {seen(sorted(map(str, data)))}.")
    return value or None


def read_number(data: Mapping[str, Any], key: str) -> float | None:
    value = data.get(key)
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise KlingAnswerError(f"{key} is {seen(value)}, not a number.")
    return number


def read_units(data: Mapping[str, Any]) -> str | None:
    value = data.get("final_unit_deduction")
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool) or not Decimal(str(value)).is_finite():
            raise InvalidOperation
    except InvalidOperation:
        raise KlingAnswerError(f"final_unit_deduction is {seen(value)}, not a decimal number.") from None
    return str(value)


def read_time(data: Mapping[str, Any], key: str) -> pendulum.DateTime | None:
    value = read_number(data, key)
    if value is None:
        return None
    try:
        return pendulum.from_timestamp(value / 1000)
    except (ValueError, OverflowError, OSError):
        raise KlingAnswerError(f"{key} is {seen(value)}, not a time in milliseconds.") from None


def milliseconds(time: pendulum.DateTime | None) -> int | None:
    """A time as the API writes it."""
    return None if time is None else round(time.astimezone(timezone.utc).timestamp() * 1000)


def seen(value: Any) -> str:
    """A value as errors show it: short."""
    text = repr(value) if not isinstance(value, list | dict) or len(value) < 20 else f"{type(value).__name__} of {len(value)}"
    return text if len(text) <= 120 else f"{text[:120]}…"


def excerpt(body: bytes) -> str:
    """The beginning of a body that is no JSON, for an error."""
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    return f"{text[:80]!r}" if text else "an empty body"
