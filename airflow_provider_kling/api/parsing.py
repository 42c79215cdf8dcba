"""Reads values from JSON, fail closed: a value of another type raises KlingAnswerError, which shows what was found.

Texts lose what could forge a line of a log or steer a terminal here, where they enter. An id that this package accepts
consists of printable characters only, so it stays as it is.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

import pendulum

from airflow_provider_kling.errors import KlingAnswerError, KlingInputError
from airflow_provider_kling.patterns import pattern
from airflow_provider_kling.redaction import harmless, is_link, one_line

MAX_TEXT = 1000  # characters; a longer text is cut
MAX_URL = 8192  # characters
MAX_ID = 128  # characters of an id that becomes a file name
MAX_UNITS = 30  # digits

_ID = pattern(r"[!-.0-\[\]-~]+")  # visible ASCII without / and \

_short = reprlib.Repr()
_short.maxlevel, _short.maxlist, _short.maxdict, _short.maxstring, _short.maxlong = 2, 20, 20, 100, 40


def read_object(data: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise KlingAnswerError(f"An answer holds {shorten(data)} where {what} is expected.")
    return data


def read_text(data: Mapping[str, Any], key: str, *, required: bool = False, max_length: int = MAX_TEXT) -> str | None:
    value = data.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is not None and not isinstance(value, str):
        raise KlingAnswerError(f"{key} is {shorten(value)}, not a text.")
    if required and not value:
        raise KlingAnswerError(f"An answer has no {key}; it holds {shorten(sorted(data))}.")
    return clean_text(value, max_length=max_length) if value else None


def read_url(data: Mapping[str, Any], key: str, *, required: bool = False) -> str | None:
    """The http(s) URL under this key. Anything else, like `javascript:…`, is no link: None, or an empty text if `required`."""
    if required and data.get(key) == "":
        return ""
    url = read_text(data, key, required=required, max_length=MAX_URL + 1)
    if url and len(url) > MAX_URL:
        raise KlingAnswerError(f"{key} has more than {MAX_URL:,} characters.")
    return url if is_link(data.get(key)) else "" if required else None


def read_id(data: Mapping[str, Any], key: str) -> str:
    """An id that Kling assigned. It becomes a part of paths and file names."""
    value = read_text(data, key, required=True) or ""
    if len(value) > MAX_ID or value[0] == "." or not _ID.fullmatch(value):
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
    """The `final_unit_deduction` of a task, in Kling's own notation."""
    return _decimal_text(data, "final_unit_deduction")


def read_amount(data: Mapping[str, Any], key: str) -> Decimal | None:
    """An amount of units or money. A JSON number is read by the digits it was written with."""
    text = _decimal_text(data, key)
    return None if text is None else Decimal(text)


def _decimal_text(data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    if value is None or value == "":
        return None
    try:
        shown = str(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else ""
        number = Decimal(shown) if shown.isascii() and len(shown) <= MAX_UNITS else Decimal("NaN")
        if not number.is_finite() or abs(number.adjusted()) > MAX_UNITS:
            raise InvalidOperation
    except (InvalidOperation, ValueError):
        raise KlingAnswerError(f"{key} is {shorten(value)}, not a decimal number.") from None
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
    """A time in the API's form: Unix time in milliseconds."""
    return None if time is None else round(time.astimezone(timezone.utc).timestamp() * 1000)


def check_span(start: datetime, end: datetime, what: str) -> None:
    """Raise KlingInputError unless the first time is before the second."""
    if start >= end:
        raise KlingInputError(f"The span of {what} starts at {start}, which is not before its end {end}.")


def shorten(value: Any) -> str:
    """A value for an error message: at most 121 characters, however large or deeply nested the value is."""
    shown = (
        _short.repr(value) if not isinstance(value, list | dict) or len(value) < 20 else f"{type(value).__name__} of {len(value)}"
    )
    return shown if len(shown) <= 120 else f"{shown[:120]}…"


def clean_text(value: Any, *, max_length: int = MAX_TEXT) -> str:
    """A value as a text that can be stored and shown anywhere: control characters become blanks or �."""
    return harmless(value[:max_length]) if isinstance(value, str) else shorten(value)


def sentence(value: Any, *, max_length: int = MAX_TEXT) -> str:
    """A value as a text for an error message, also without a token or a signed URL that the other side repeats."""
    return one_line(clean_text(value, max_length=max_length))


def excerpt(body: bytes) -> str:
    """The beginning of a body that is not JSON, for an error message."""
    start = one_line(body[:1000].decode("utf-8", "replace"))
    return f"{start[:80]!r}" if start else "an empty body"
