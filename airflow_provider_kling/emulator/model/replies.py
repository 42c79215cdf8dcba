"""Answers of the emulator as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_kling.api import CODES, envelope


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer. `ending` is `whole`, `cut` (only half of the body is sent) or `drop` (nothing is sent)."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    code: int | None = None
    ending: str = "whole"

    def with_header(self, name: str, value: str) -> Reply:
        """The same answer with one more header."""
        return replace(self, headers={**self.headers, name: value})

    def ending_with(self, ending: str) -> Reply:
        """The same answer with another ending."""
        return replace(self, ending=ending)


def succeeded(data: Any, *, request_id: str) -> Reply:
    """A successful answer of the API."""
    return Reply(status=200, body=to_bytes(envelope(data, request_id=request_id)), code=0)


def refused(code: int, message: str | None, *, request_id: str, status: int | None = None) -> Reply:
    """An error of the API. A code without documentation gets HTTP 400 unless `status` is given."""
    known = CODES.get(code)
    text = message or (known.meaning if known else f"Error {code}")
    document = envelope(request_id=request_id, code=code, message=text)
    return Reply(status=status or (known.http_status if known else 400), body=to_bytes(document), code=code)


def no_such_path(path: str, *, now: float) -> Reply:
    """The answer of the API's web framework for an unknown path; it has no error code."""
    document = {
        "timestamp": int(now * 1000),
        "status": 404,
        "error": "Not Found",
        "message": "No message available",
        "path": path,
    }
    return Reply(status=404, body=to_bytes(document))


def plain(document: Any, *, status: int = 200) -> Reply:
    """JSON without the API's envelope."""
    return Reply(status=status, body=to_bytes(document))


def to_bytes(document: Any) -> bytes:
    """JSON as the API writes it, in UTF-8."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
