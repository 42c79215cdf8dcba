"""An HTTP answer: the data in it, or the error that it stands for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import pendulum

from airflow_provider_kling.api.codes import code_for, kind_of
from airflow_provider_kling.api.parsing import excerpt, shorten, text
from airflow_provider_kling.errors import KlingAnswerError, KlingApiError, KlingRequestError


@dataclass(frozen=True, kw_only=True)
class Response:
    """An HTTP answer as it came. The names of `headers` are lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def data_of(answer: Response) -> Any:
    """`data` of a good answer; KlingApiError for an error code, KlingAnswerError for no answer of this API."""
    if 300 <= answer.status < 400:
        where = text(answer.headers.get("location", "nowhere"), most=200)
        advice = "API calls follow no redirect: set the host (base URL) of the connection to where the API is."
        raise KlingRequestError(f"redirected to {where}", http_status=answer.status, advice=advice)
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise KlingAnswerError(
            f"HTTP {answer.status} brought {excerpt(answer.body)} instead of JSON; "
            "a gateway in between, or a host (base URL) that is not Kling's API.",
            http_status=answer.status,
        ) from None
    if not isinstance(document, dict):
        raise KlingAnswerError(f"HTTP {answer.status} brought {shorten(document)} instead of an object.", http_status=answer.status)
    code = document.get("code")
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 10:
        code = int(code)
    if not isinstance(code, int) or isinstance(code, bool) or abs(code) >= 10**9:
        raise _answer_without_code(answer.status, document)
    if code == 0:
        return document.get("data")
    known = code_for(code, answer.status)
    message = text(document.get("message") or known.meaning or "no message")
    kind, advice = kind_of(known, message)
    raise kind(
        message,
        code=code,
        http_status=answer.status,
        request_id=text(document["request_id"], most=200) if document.get("request_id") else None,
        advice=advice,
        retry_after=_retry_after(answer.headers),
        server_time=_http_date(answer.headers.get("date", "")),
    )


def _answer_without_code(status: int, document: Mapping[str, Any]) -> KlingApiError | KlingAnswerError:
    if status == 404:
        path = text(document.get("path", "?"), most=200)
        advice = "The path does not exist there; check the host (base URL) of the connection."
        return KlingRequestError(f"{text(document.get('error', 'Not Found'), most=200)}: {path}", http_status=status, advice=advice)
    return KlingAnswerError(
        f"HTTP {status} brought an object without a code, with the keys {shorten(sorted(document))}.", http_status=status
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from Retry-After, which is a number or a date; a date counts from the answer's own Date."""
    asked = headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit() and len(asked) < 10:
        return float(asked)
    until, now = _http_date(asked), _http_date(headers.get("date", ""))
    return max(0.0, (until - now).total_seconds()) if until and now else None


def _http_date(date: str) -> pendulum.DateTime | None:
    try:
        return pendulum.instance(parsedate_to_datetime(date)).in_timezone("UTC")
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
