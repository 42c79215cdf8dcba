"""The server's half: which requests it accepts, which it refuses, and the envelope of its responses."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_kling.api.codes import Refusal
from airflow_provider_kling.api.credentials import lifetime_of
from airflow_provider_kling.api.paths import DEFAULT_PAGE_SIZE, MAX_PAGE_NUM, MAX_PAGE_SIZE
from airflow_provider_kling.api.products import Product, ReceivedRequest


@dataclass(frozen=True, kw_only=True)
class CreateBody:
    """The body of a create as a server reads it."""

    request: ReceivedRequest
    external_task_id: str | None
    callback_url: str | None


def envelope(data: Any = None, *, request_id: str, code: int = 0, message: str = "SUCCEED") -> dict[str, Any]:
    """The object around every response. An error has no `data`."""
    head: dict[str, Any] = {"code": code, "message": message, "request_id": request_id}
    return {**head, "data": data} if code == 0 else head


def read_document(body: bytes) -> dict[str, Any]:
    """The object in the body of a request. Raises Refusal 1200 for anything else."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(1200, "Request body is not valid JSON") from None
    if not isinstance(document, dict):
        raise Refusal(1200, "Request body must be an object")
    return document


def read_create(product: Product, body: bytes) -> CreateBody:
    """Read the body of a create of this product. Raises Refusal 1200 or 1201 with the name of the wrong parameter."""
    document = read_document(body)
    request = product.read_body(document)
    optional = {}
    for name in ("external_task_id", "callback_url"):
        value = document.get(name)
        if value is not None and not isinstance(value, str):
            raise Refusal(1201, f"{name} must be a string")
        optional[name] = value or None
    return CreateBody(request=request, **optional)


def read_page(params: Mapping[str, str]) -> tuple[int, int]:
    """`pageNum` and `pageSize` of a list. Raises Refusal 1201 outside their limits."""
    numbers = []
    for name, default, maximum in (("pageNum", 1, MAX_PAGE_NUM), ("pageSize", DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)):
        text = params.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 10) or not 1 <= int(text) <= maximum:
            raise Refusal(1201, f"{name} must be between 1 and {maximum}")
        numbers.append(int(text))
    return numbers[0], numbers[1]


def authorize(header: str | None, *, api_keys: Collection[str], secrets: Mapping[str, str], now: float) -> float:
    """Accept an Authorization header, or raise Refusal 1000-1004 with the API's own message.

    `secrets` maps access keys to secret keys. Returns the Unix time until which the same header may be accepted without
    another check.
    """
    if not header:
        raise Refusal(1001)
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Refusal(1000)
    if token in api_keys:
        return math.inf
    dots = token.count(".")
    if dots != 2:
        raise Refusal(1002, f"The token was expected to have 3 parts, but got {dots + 1 if dots else 0}")
    lifetime = lifetime_of(token, secrets)
    if lifetime is None:
        raise Refusal(1002)
    not_before, expires = lifetime
    if now < not_before:
        raise Refusal(1003)
    if now >= expires:
        raise Refusal(1004)
    return float(expires)
