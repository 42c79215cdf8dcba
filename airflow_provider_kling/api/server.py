"""The server's end: what it accepts, what it refuses, and the envelope of its answers."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_kling.api.codes import CODES
from airflow_provider_kling.api.credentials import lifetime_of
from airflow_provider_kling.api.paths import DEFAULT_PAGE_SIZE, MAX_PAGE_NUM, MAX_PAGE_SIZE


class Refusal(Exception):
    """A request that is answered with an error code."""

    def __init__(self, number: int, message: str | None = None) -> None:
        self.code = CODES[number]
        self.message = message or self.code.meaning
        super().__init__(self.message)


@dataclass(frozen=True, kw_only=True)
class CreateBody:
    """The body of a create as a server reads it; `images` has one or two values."""

    effect_scene: str
    images: tuple[str, ...] = field(repr=False)
    external_task_id: str | None
    callback_url: str | None


def envelope(data: Any = None, *, request_id: str, code: int = 0, message: str = "SUCCEED") -> dict[str, Any]:
    """The object around every answer; an error has no `data`."""
    head: dict[str, Any] = {"code": code, "message": message, "request_id": request_id}
    return {**head, "data": data} if code == 0 else head


def read_create(body: bytes) -> CreateBody:
    """The body of a create; Refusal 1200 or 1201 with the parameter's name."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(1200, "Request body is not valid JSON") from None
    if not isinstance(document, dict):
        raise Refusal(1200, "Request body must be an object")
    scene = document.get("effect_scene")
    if not isinstance(scene, str) or not scene:
        raise Refusal(1201, "effect_scene must not be empty")
    given = document.get("input")
    if not isinstance(given, dict):
        raise Refusal(1201, "input must not be empty")
    image, images = given.get("image"), given.get("images")
    if images is None:
        images = [image] if image is not None else []
    if not isinstance(images, list) or not all(isinstance(one, str) and one for one in images) or not images:
        raise Refusal(1201, "image must not be empty")
    if given.get("images") is not None and len(images) != 2:
        raise Refusal(1201, "images size must be 2")
    optional = {}
    for name in ("external_task_id", "callback_url"):
        value = document.get(name)
        if value is not None and not isinstance(value, str):
            raise Refusal(1201, f"{name} must be a string")
        optional[name] = value or None
    return CreateBody(effect_scene=scene, images=tuple(images), **optional)


def read_page(params: Mapping[str, str]) -> tuple[int, int]:
    """`pageNum` and `pageSize` of a list; Refusal 1201 outside their limits."""
    numbers = []
    for name, default, most in (("pageNum", 1, MAX_PAGE_NUM), ("pageSize", DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)):
        text = params.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 10) or not 1 <= int(text) <= most:
            raise Refusal(1201, f"{name} must be between 1 and {most}")
        numbers.append(int(text))
    return numbers[0], numbers[1]


def authorize(header: str | None, *, api_keys: Collection[str], secrets: Mapping[str, str], now: float) -> float:
    """Accept an Authorization header, or raise Refusal 1000-1004 with the API's own words.

    `secrets` maps access keys to secret keys. Returns until when (Unix time) the same header may be accepted
    without another look.
    """
    if not header:
        raise Refusal(1001)
    kind, _, token = header.partition(" ")
    token = token.strip()
    if kind.lower() != "bearer" or not token:
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
