"""What the transports of urllib3 and of aiohttp share: URLs, proxies, checks and errors.

A transport decides neither what to send nor what a response means. An API call follows no redirect, and its bearer token
goes only to the API's host; videos are downloaded by a session without a token. Each library has a module of its own, so
that a process imports only the one it uses.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

from airflow_provider_kling import __version__
from airflow_provider_kling.api import Call
from airflow_provider_kling.client.addresses import check_host, check_link, refusal_in, refused, same_origin
from airflow_provider_kling.client.proxies import Proxy, proxies_known, proxy_for
from airflow_provider_kling.client.settings import KlingSettings
from airflow_provider_kling.errors import KlingConnectionError, KlingDownloadError
from airflow_provider_kling.redaction import show_host, show_reason

USER_AGENT = f"airflow-provider-kling/{__version__}"
CHUNK = 64 * 1024  # bytes that are read at once
POOL_SIZE = 32  # keep-alive connections to one host
REQUEST_LIMIT = 120.0  # seconds that a request may take in all, whatever trickles in
SLOWEST_UPLOAD = 64 * 1024  # bytes a second of a request's body, for which a request gets more time
DOWNLOAD_LIMIT = 3600.0  # seconds that the download of one video may take in all
PACE = 16 * 1024  # bytes that a download brings at least in a time of `pace_of`
SHORTEST_PACE = 10.0  # seconds
PARSED_AT_ONCE = 256 * 1024  # bytes of a response that an event loop can parse without a pause that others notice
TIMED_OUT = "timed out"


def time_left(settings: KlingSettings, body: bytes | None, *, until: float | None) -> float:
    """Seconds that a request may take in all: until the deadline, if there is one, and never more than a limit of its own.

    The limit leaves time for a large body on a slow line. Raises KlingConnectionError if no time is left.
    """
    limit = max(REQUEST_LIMIT, 4 * settings.timeout) + len(body or b"") / SLOWEST_UPLOAD
    if until is not None and until <= 0:
        raise KlingConnectionError(f"No time is left to ask {settings.base_url}.", sent=False)
    return limit if until is None else min(limit, until)


def download_time_left(url: str, *, until: float | None) -> float:
    """`time_left` for a video."""
    if until is not None and until <= 0:
        raise KlingDownloadError(f"No time is left to load a video from {show_host(url)}.", retryable=True)
    return DOWNLOAD_LIMIT if until is None else min(DOWNLOAD_LIMIT, until)


def pace_of(settings: KlingSettings) -> float:
    """Seconds in which a download must bring `PACE` bytes, or it counts as broken off."""
    return max(settings.timeout, SHORTEST_PACE)


def leads_to_public_only(settings: KlingSettings, url: str) -> bool:
    """Whether a video's link may lead to public addresses only. Raises KlingDownloadError for one that says itself it does not."""
    check_link(url)
    if settings.allow_private_links or same_origin(settings.base_url, url):
        return False
    check_host(url)
    return proxy_for(settings.proxies, url) is None  # a proxy connects in our place, and its own address may be private


def check_video(url: str, status: int, proxy: Proxy | None) -> None:
    """Raise KlingDownloadError unless a response from a video host may hold a video. What it holds, its bytes decide."""
    if status == 407:
        raise KlingDownloadError(f"{show_host(url)} was not reached: {_wants_credentials(proxy)}")
    if status != 200:
        expired = status in (401, 403, 404, 410)
        retryable = status >= 500 or status in (408, 429)
        raise KlingDownloadError(f"{show_host(url)} answers HTTP {status} for a video.", expired=expired, retryable=retryable)


def check_proxy(status: int, proxy: Proxy | None) -> None:
    """Raise KlingConnectionError for the answer of a proxy that has passed nothing on."""
    if status == 407:
        text = _wants_credentials(proxy)
        raise KlingConnectionError(text[0].upper() + text[1:], sent=False)


def _wants_credentials(proxy: Proxy | None) -> str:
    return f"{proxy.name if proxy else 'a proxy'} answers HTTP 407: it wants other credentials."


def url_of(settings: KlingSettings, call: Call[Any]) -> str:
    query = f"?{urlencode(call.params)}" if call.params else ""
    return f"{settings.base_url}{call.path}{query}"


def body_of(call: Call[Any]) -> bytes | None:
    return None if call.body is None else json.dumps(call.body, ensure_ascii=False).encode()


def connection_error(
    settings: KlingSettings, error: BaseException | None, *, sent: bool, proxy: Proxy | None
) -> KlingConnectionError:
    """The error for a call without a complete response; without an `error` its time is over.

    `sent`: the request may have arrived. Raise it outside the `except` block: a library's error, also as the cause or
    context of this one, may hold the proxy's password.
    """
    problem = "No complete response from" if sent else "No connection to"
    reason = root_cause(error, settings, settings.base_url) if error else TIMED_OUT
    hint = " It seems to speak plain HTTP: begin the base URL with http://." if "WRONG_VERSION_NUMBER" in reason else ""
    return KlingConnectionError(f"{problem} {settings.base_url}{_through(proxy)}: {reason}.{hint}", sent=sent)


def download_error(settings: KlingSettings, url: str, error: BaseException | None, *, proxy: Proxy | None) -> KlingDownloadError:
    """The error for a video that did not arrive completely; without an `error` its time is over."""
    reason = root_cause(error, settings, url) if error else TIMED_OUT
    if refusal := refusal_in(reason):
        return refused(url, refusal)
    return KlingDownloadError(f"{show_host(url)} broke off a video{_through(proxy)}: {reason}.", retryable=True)


def _through(proxy: Proxy | None) -> str:
    return f" through {proxy.name}" if proxy else ""


def root_cause(error: BaseException, settings: KlingSettings, url: str) -> str:
    """The message of the innermost exception, in at most 200 characters and without secrets; `timed out` for any time-out."""
    if isinstance(error, asyncio.TimeoutError) or "timed out" in str(error).lower():
        return TIMED_OUT
    cause = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return show_reason(cause, url, *proxies_known(settings.proxies))[:200]
