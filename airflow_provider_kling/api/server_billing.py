"""The server's half of the billing endpoints: which queries it accepts, and which it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_kling.api.charges import FILTERS, PaidWith
from airflow_provider_kling.api.codes import Refusal
from airflow_provider_kling.api.paths import MAX_CHARGES
from airflow_provider_kling.api.server import read_document


@dataclass(frozen=True, kw_only=True)
class ReceivedChargeQuery:
    """The body of a billing query as a server reads it: a cursor alone, or a span (Unix ms), a limit and filters."""

    cursor: str = ""
    start_time: int = 0
    end_time: int = 0
    limit: int = MAX_CHARGES
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_charge_query(paid_with: PaidWith, body: bytes) -> ReceivedChargeQuery:
    """Read the body of a billing query. Raises Refusal 1200 or 1201 with the name of the wrong parameter."""
    document = read_document(body)
    cursor = document.get("cursor")
    if cursor is not None and not isinstance(cursor, str):
        raise Refusal(1201, "cursor is invalid")
    if cursor:
        return ReceivedChargeQuery(cursor=cursor)
    start, end = (_whole(document, name) for name in ("start_time", "end_time"))
    if start >= end:
        raise Refusal(1201, "start_time must be earlier than end_time")
    limit = document.get("limit", MAX_CHARGES)
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MAX_CHARGES:
        raise Refusal(1201, f"limit must be between 1 and {MAX_CHARGES}")
    filters = _filters(document.get("filters"), FILTERS[paid_with])
    if filters.get("package_name") and filters.get("package_id"):
        raise Refusal(1201, "package_name and package_id are mutually exclusive")
    return ReceivedChargeQuery(start_time=start, end_time=end, limit=limit, filters=filters)


def _whole(document: Mapping[str, Any], name: str) -> int:
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**15:
        raise Refusal(1201, f"{name} is invalid")
    return value


def _filters(given: Any, known: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The filters that restrict anything: the vendor's own example has keys with an empty list of values."""
    if given is None:
        return {}
    if not isinstance(given, list):
        raise Refusal(1201, "filters must be a list")
    found: dict[str, tuple[str, ...]] = {}
    for entry in given:
        key, values = (entry.get("key"), entry.get("values")) if isinstance(entry, dict) else (None, None)
        if not isinstance(key, str) or key not in known:
            raise Refusal(1201, f"filters.key must be one of {', '.join(known)}")
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise Refusal(1201, "filters.values must be a list of strings")
        found[key] = (*found.get(key, ()), *values)
    return {key: values for key, values in found.items() if values}
