"""What the transports of requests and of aiohttp share: URLs, proxies, certificates, checks and errors.

A transport decides neither what to send nor what a response means. An API call follows no redirect, and its bearer token
goes only to the API's host; videos are downloaded by a session without a token. Each library has a module of its own, so
that a process imports only the one it uses.
"""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from typing import Any
from urllib.parse import urlencode, urlsplit

import certifi

from airflow_provider_kling import __version__
from airflow_provider_kling.api import Call
from airflow_provider_kling.client.settings import KlingSettings
from airflow_provider_kling.errors import KlingConnectionError, KlingDownloadError, KlingSettingsError
from airflow_provider_kling.redaction import show_host

USER_AGENT = f"airflow-provider-kling/{__version__}"
CHUNK = 256 * 1024  # bytes
POOL_SIZE = 32  # keep-alive connections to one host
MAX_RESPONSE = 64 * 1024 * 1024  # bytes; a page of 500 tasks has less than 1 MB


def check_link(url: str) -> None:
    """Raise KlingDownloadError for a link that no client can follow: the libraries raise various errors for such a URL."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise KlingDownloadError(f"The link of a video is {url[:100]!r}; wanted is a URL.")


def check_video(url: str, status: int, content_type: str) -> None:
    """Raise KlingDownloadError unless a response from a video host holds a video."""
    if status != 200:
        expired = status in (401, 403, 404, 410)
        retryable = status >= 500 or status in (408, 429)
        raise KlingDownloadError(f"{show_host(url)} answers HTTP {status} for a video.", expired=expired, retryable=retryable)
    if content_type.startswith(("text/", "application/json")):
        raise KlingDownloadError(
            f"{show_host(url)} answers {content_type.partition(';')[0]} where a video is expected.", retryable=True
        )


def append(body: bytearray, chunk: bytes) -> None:
    """Append a chunk to a response. Raises KlingConnectionError for a response larger than any of the API."""
    body += chunk
    if len(body) > MAX_RESPONSE:
        raise KlingConnectionError(f"A response is larger than {MAX_RESPONSE:,} bytes; none of the API is.", sent=True)


def url_of(settings: KlingSettings, call: Call[Any]) -> str:
    query = f"?{urlencode(call.params)}" if call.params else ""
    return f"{settings.base_url}{call.path}{query}"


def body_of(call: Call[Any]) -> bytes | None:
    return None if call.body is None else json.dumps(call.body, ensure_ascii=False).encode()


def proxy_for(settings: KlingSettings, url: str) -> str | None:
    """The proxy for a URL: the connection's, or else the environment's (HTTPS_PROXY, NO_PROXY). None for no proxy."""
    parts = urlsplit(url)
    if settings.proxies:
        return settings.proxies.get(parts.scheme)
    return None if urllib.request.proxy_bypass(parts.netloc) else urllib.request.getproxies().get(parts.scheme)


def proxies_for(settings: KlingSettings, url: str) -> dict[str, str]:
    proxy = proxy_for(settings, url)
    return {"http": proxy, "https": proxy} if proxy else {}


def ca_bundle(settings: KlingSettings) -> str | None:
    """The file or folder of CA certificates: the connection's, the environment's, or certifi's. None to check nothing."""
    path = settings.verify if isinstance(settings.verify, str) else None
    if path and not os.path.exists(path):
        raise KlingSettingsError(
            f"The connection's verify is {path!r}, which does not exist here; wanted is true, false, or a CA bundle."
        )
    if path or not settings.verify:
        return path
    for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        if named := os.environ.get(variable):
            if not os.path.exists(named):
                raise KlingSettingsError(f"The environment's {variable} is {named!r}, which does not exist here.")
            return named
    return certifi.where()


def connection_error(settings: KlingSettings, error: BaseException, *, sent: bool) -> KlingConnectionError:
    """The error for a call without a complete response. `sent`: the request may have arrived."""
    problem = "No complete response from" if sent else "No connection to"
    reason = root_cause(error)
    hint = " It seems to speak plain HTTP: begin the base URL with http://." if "WRONG_VERSION_NUMBER" in reason else ""
    return KlingConnectionError(f"{problem} {settings.base_url}: {reason}.{hint}", sent=sent)


def download_error(url: str, error: BaseException) -> KlingDownloadError:
    """The error for a video that did not arrive completely."""
    return KlingDownloadError(f"{show_host(url)} broke off a video: {root_cause(error)}.", retryable=True)


def root_cause(error: BaseException) -> str:
    """The message of the innermost exception, in at most 200 characters; `timed out` for any time-out."""
    if isinstance(error, asyncio.TimeoutError) or "timed out" in str(error).lower():
        return "timed out"
    cause = error
    while (cause.__cause__ or cause.__context__) is not None:
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
    return (str(cause) or type(cause).__name__).rstrip(".")[:200]
