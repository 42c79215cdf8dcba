"""HTTP responses: the data in a good one, the error for any other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from email.utils import parsedate_to_datetime
from typing import Any

import pendulum

from airflow_provider_kling.api.codes import error_and_advice, find_code
from airflow_provider_kling.api.parsing import excerpt, sentence, shorten
from airflow_provider_kling.errors import KlingAnswerError, KlingApiError, KlingRequestError
from airflow_provider_kling.redaction import show_place
from airflow_provider_kling.values import value


@value(kw_only=True)
class Response:
    """An HTTP response as it arrived. The names in `headers` are lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def read_data(response: Response) -> Any:
    """The `data` of a good response. Raises KlingApiError for an error code, KlingAnswerError for an undocumented response."""
    if 300 <= response.status < 400:
        where = show_place(response.headers.get("location", "nowhere"))[:200]
        advice = "API calls follow no redirect: set the host (base URL) of the connection to where the API is."
        raise KlingRequestError(f"redirected to {where}", http_status=response.status, advice=advice)
    try:
        document = json.loads(response.body)
    except (ValueError, RecursionError):
        raise KlingAnswerError(
            f"HTTP {response.status} brought {excerpt(response.body)} instead of JSON; "
            "a gateway in between, or a host (base URL) that is not Kling's API.",
            http_status=response.status,
        ) from None
    if not isinstance(document, dict):
        raise KlingAnswerError(
            f"HTTP {response.status} brought {shorten(document)} instead of an object.", http_status=response.status
        )
    code = document.get("code")
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 10:
        code = int(code)
    if not isinstance(code, int) or isinstance(code, bool) or abs(code) >= 10**9:
        raise _error_without_code(response.status, document)
    if code == 0:
        return document.get("data")
    raise _error_of_code(code, document, response)


def _error_of_code(number: int, document: Mapping[str, Any], response: Response) -> KlingApiError:
    """The error for a response with an error code."""
    code = find_code(number, response.status)
    message = sentence(document.get("message") or code.meaning or "no message")
    error_class, advice = error_and_advice(code, message)
    return error_class(
        message,
        code=number,
        http_status=response.status,
        request_id=sentence(document["request_id"], max_length=200) if document.get("request_id") else None,
        advice=advice,
        retry_after=_retry_after(response.headers),
        server_time=_http_date(response.headers.get("date", "")),
    )


def _error_without_code(status: int, document: Mapping[str, Any]) -> KlingApiError | KlingAnswerError:
    """The error for an object that the API cannot have sent: a gateway's 404, or anything else."""
    if status == 404:
        path = sentence(document.get("path", "?"), max_length=200)
        name = sentence(document.get("error", "Not Found"), max_length=200)
        advice = "The path does not exist there; check the host (base URL) of the connection."
        return KlingRequestError(f"{name}: {path}", http_status=status, advice=advice)
    return KlingAnswerError(
        f"HTTP {status} brought an object without a code, with the keys {shorten(sorted(document))}.", http_status=status
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of Retry-After, which is a number or a date. A date counts from the Date of the same response."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    until, now = _http_date(value), _http_date(headers.get("date", ""))
    return max(0.0, (until - now).total_seconds()) if until and now else None


def _http_date(date: str) -> pendulum.DateTime | None:
    try:
        return pendulum.instance(parsedate_to_datetime(date)).in_timezone("UTC")
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
