"""Reading JSON, fail closed: a value of the kind that is wanted, or a KlingAnswerError that says what was seen instead."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Mapping
from datetime import timezone
from decimal import Decimal, InvalidOperation
from typing import Any

import pendulum

from airflow_provider_kling.errors import KlingAnswerError

MOST_TEXT = 1000  # characters; a longer text for a person is cut
MOST_URL = 8192  # characters
MOST_ID = 128  # characters of an id that becomes a file name
MOST_UNITS = 30  # digits

_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # what neither UTF-8 nor PostgreSQL can hold
_ID = re.compile(r"[!-.0-\[\]-~]+")  # visible ASCII without / and \

_shown = reprlib.Repr()
_shown.maxlevel, _shown.maxlist, _shown.maxdict, _shown.maxstring, _shown.maxlong = 2, 20, 20, 100, 40


def read_object(data: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise KlingAnswerError(f"An answer holds {shorten(data)} where {what} is expected.")
    return data


def read_text(data: Mapping[str, Any], key: str, *, required: bool = False, most: int = MOST_TEXT) -> str | None:
    value = data.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is not None and not isinstance(value, str):
        raise KlingAnswerError(f"{key} is {shorten(value)}, not a text.")
    if required and not value:
        raise KlingAnswerError(f"An answer has no {key}; it holds {shorten(sorted(data))}.")
    return text(value, most=most) if value else None


def read_url(data: Mapping[str, Any], key: str, *, required: bool = False) -> str | None:
    url = read_text(data, key, required=required, most=MOST_URL + 1)
    if url and len(url) > MOST_URL:
        raise KlingAnswerError(f"{key} has more than {MOST_URL:,} characters.")
    return url


def read_id(data: Mapping[str, Any], key: str) -> str:
    """An id of Kling's own making. It becomes part of paths and the name of files."""
    value = read_text(data, key, required=True) or ""
    if len(value) > MOST_ID or value[0] == "." or not _ID.fullmatch(value):
        raise KlingAnswerError(f"{key} is {shorten(value)}, not an id.")
    return value


def read_number(data: Mapping[str, Any], key: str) -> float | None:
    value = data.get(key)
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise KlingAnswerError(f"{key} is {shorten(value)}, not a number.")
    return number


def read_units(data: Mapping[str, Any]) -> str | None:
    value = data.get("final_unit_deduction")
    if value is None or value == "":
        return None
    try:
        shown = str(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else ""
        number = Decimal(shown) if shown.isascii() and len(shown) <= MOST_UNITS else Decimal("NaN")
        if not number.is_finite() or abs(number.adjusted()) > MOST_UNITS:
            raise InvalidOperation
    except InvalidOperation:
        raise KlingAnswerError(f"final_unit_deduction is {shorten(value)}, not a decimal number.") from None
    return shown


def read_time(data: Mapping[str, Any], key: str) -> pendulum.DateTime | None:
    value = read_number(data, key)
    if value is None:
        return None
    try:
        return pendulum.from_timestamp(value / 1000)
    except (ValueError, OverflowError, OSError):
        raise KlingAnswerError(f"{key} is {shorten(value)}, not a time in milliseconds.") from None


def milliseconds(time: pendulum.DateTime | None) -> int | None:
    """A time as the API writes it."""
    return None if time is None else round(time.astimezone(timezone.utc).timestamp() * 1000)


def shorten(value: Any) -> str:
    """A value as errors show it: short, however large or deep it is."""
    shown = (
        _shown.repr(value) if not isinstance(value, list | dict) or len(value) < 20 else f"{type(value).__name__} of {len(value)}"
    )
    return shown if len(shown) <= 120 else f"{shown[:120]}…"


def text(value: Any, *, most: int = MOST_TEXT) -> str:
    """A value as a text that can be stored and shown anywhere."""
    return _NO_TEXT.sub("\ufffd", value[:most]) if isinstance(value, str) else shorten(value)


def excerpt(body: bytes) -> str:
    """The beginning of a body that is no JSON, for an error."""
    found = " ".join(body[:200].decode("utf-8", "replace").split())
    return f"{found[:80]!r}" if found else "an empty body"
