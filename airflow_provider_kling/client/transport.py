"""What HTTP by requests and by aiohttp have in common: where to, through which proxy, with which certificates.

Both only carry: what to send, and what an answer means, is decided elsewhere. An API call follows no redirect, and its
bearer token goes to the API's host only; a video is fetched by a session that never held a token. Each library has a
module of its own, so that nobody pays for one that is not used.
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

USER_AGENT = f"airflow-provider-kling/{__version__}"
CHUNK = 256 * 1024  # bytes
POOL_SIZE = 32  # connections kept alive for one host
MOST_ANSWER = 64 * 1024 * 1024  # bytes; a page of 500 tasks is below one MB


def check_link(url: str) -> None:
    """KlingDownloadError for a link that no client can follow. They themselves raise all kinds of errors for names of hosts."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise KlingDownloadError(f"The link of a video is {url[:100]!r}; wanted is a URL.")


def check_video(url: str, status: int, content_type: str) -> None:
    """Whether an answer of a video host holds a video; KlingDownloadError otherwise."""
    if status != 200:
        expired = status in (401, 403, 404, 410)
        retryable = status >= 500 or status in (408, 429)
        raise KlingDownloadError(f"{host_of(url)} answers HTTP {status} for a video.", expired=expired, retryable=retryable)
    if content_type.startswith(("text/", "application/json")):
        raise KlingDownloadError(
            f"{host_of(url)} answers {content_type.partition(';')[0]} where a video is expected.", retryable=True
        )


def append(body: bytearray, chunk: bytes) -> None:
    """Add to an answer; KlingConnectionError where it becomes larger than any answer of the API is."""
    body += chunk
    if len(body) > MOST_ANSWER:
        raise KlingConnectionError(f"An answer is larger than {MOST_ANSWER:,} bytes; no answer of the API is.", sent=True)


def url_of(settings: KlingSettings, call: Call[Any]) -> str:
    query = f"?{urlencode(call.params)}" if call.params else ""
    return f"{settings.base_url}{call.path}{query}"


def body_of(call: Call[Any]) -> bytes | None:
    return None if call.body is None else json.dumps(call.body, ensure_ascii=False).encode()


def proxy_for(settings: KlingSettings, url: str) -> str | None:
    """The proxy for a URL: the connection's, or the one that the environment names (HTTPS_PROXY, NO_PROXY)."""
    parts = urlsplit(url)
    if settings.proxies:
        return settings.proxies.get(parts.scheme)
    return None if urllib.request.proxy_bypass(parts.netloc) else urllib.request.getproxies().get(parts.scheme)


def proxies_for(settings: KlingSettings, url: str) -> dict[str, str]:
    proxy = proxy_for(settings, url)
    return {"http": proxy, "https": proxy} if proxy else {}


def ca_bundle(settings: KlingSettings) -> str | None:
    """The file of certificates to check against: the connection's, or the one that the environment names."""
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


def lost(settings: KlingSettings, error: BaseException, *, sent: bool) -> KlingConnectionError:
    """What to raise where no answer came, or not all of it. `sent`: the request may have arrived."""
    what = "no whole answer came from" if sent else "no connection to"
    reason = reason_of(error)
    hint = " It seems to speak plain HTTP: begin the base URL with http://." if "WRONG_VERSION_NUMBER" in reason else ""
    return KlingConnectionError(f"{what[0].upper()}{what[1:]} {settings.base_url}: {reason}.{hint}", sent=sent)


def broken_off(url: str, error: BaseException) -> KlingDownloadError:
    """What to raise where a video did not come whole."""
    return KlingDownloadError(f"{host_of(url)} broke off a video: {reason_of(error)}.", retryable=True)


def reason_of(error: BaseException) -> str:
    """What happened, in a few words: the innermost reason, without the objects around it."""
    text = str(error)
    if isinstance(error, asyncio.TimeoutError) or "timed out" in text.lower():
        return "timed out"
    inner = error
    while (inner.__cause__ or inner.__context__) is not None:
        inner = inner.__cause__ or inner.__context__  # type: ignore[assignment]
    return (str(inner) or type(inner).__name__).rstrip(".")[:200]


def host_of(url: str) -> str:
    return urlsplit(url).hostname or "the video's host"
