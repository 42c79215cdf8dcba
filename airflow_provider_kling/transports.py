"""HTTP by requests and by aiohttp. Both only carry: what to send, and what an answer means, is decided elsewhere.

An API call follows no redirect, and its bearer token goes to the API's host only; a video is fetched by a session that
never held a token.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import urllib.request
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import requests
from requests.adapters import HTTPAdapter

from airflow_provider_kling import __version__
from airflow_provider_kling.connection import CONNECT_TIMEOUT, KlingSettings
from airflow_provider_kling.errors import KlingConnectionError, KlingDownloadError, KlingSettingsError
from airflow_provider_kling.protocol import Answer, Call

USER_AGENT = f"airflow-provider-kling/{__version__}"
CHUNK = 256 * 1024  # bytes
POOL_SIZE = 32  # connections kept alive for one host
MOST_ANSWER = 64 * 1024 * 1024  # bytes; a page of 500 tasks is below one MB

_AIOHTTP_ERRORS = (aiohttp.ClientError, asyncio.TimeoutError, ConnectionError)


class RequestsTransport:
    """Sends calls and fetches videos over keep-alive sessions of requests."""

    def __init__(self, settings: KlingSettings) -> None:
        self._settings = settings
        self._api = self._session()
        self._videos = self._session()

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.headers.update({"User-Agent": USER_AGENT})
        session.trust_env = False  # the environment is read in `_proxy` and `_ca_bundle`, as aiohttp needs it anyway
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # like aiohttp's here: none are kept
        session.verify = _ca_bundle(self._settings) or self._settings.verify
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=POOL_SIZE))
        return session

    def send(self, call: Call[Any], token: str) -> Answer:
        """The API's answer; KlingConnectionError where none came, or not all of it."""
        try:
            with self._api.request(
                call.method,
                _url(self._settings, call),
                data=_payload(call),
                headers={"Content-Type": "application/json"},
                auth=_Bearer(token),
                timeout=(CONNECT_TIMEOUT, self._settings.timeout),
                proxies=_proxies(self._settings, self._settings.base_url),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = bytearray()
                for chunk in response.iter_content(CHUNK):
                    _append(body, chunk)
                return Answer(
                    status=response.status_code, body=bytes(body), headers={k.lower(): v for k, v in response.headers.items()}
                )
        except requests.RequestException as error:
            raise _lost(self._settings, error, sent=not _never_sent(error)) from error

    def fetch(self, url: str, write: Callable[[bytes], object]) -> None:
        """Write what is behind this link; KlingDownloadError for anything but the whole of it."""
        check_link(url)
        try:
            with self._videos.get(
                url, proxies=_proxies(self._settings, url), timeout=(CONNECT_TIMEOUT, self._settings.timeout), stream=True
            ) as response:
                check_video(url, response.status_code, response.headers.get("Content-Type", ""))
                for chunk in response.iter_content(CHUNK):
                    write(chunk)
        except (requests.RequestException, ValueError) as error:
            raise KlingDownloadError(f"{_host(url)} broke off a video: {_reason(error)}.", retryable=True) from error

    def close(self) -> None:
        self._api.close()
        self._videos.close()


class AiohttpTransport:
    """The same over aiohttp. Belongs to the event loop it was made in."""

    def __init__(self, settings: KlingSettings) -> None:
        self._settings = settings
        connector = aiohttp.TCPConnector(limit=POOL_SIZE, ssl=_ssl(settings))
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=settings.timeout)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers={"User-Agent": USER_AGENT}, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def send(self, call: Call[Any], token: str) -> Answer:
        """The API's answer; KlingConnectionError where none came, or not all of it."""
        url = _url(self._settings, call)
        try:
            async with self._session.request(
                call.method,
                _exact(url),
                data=_payload(call),
                headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
                proxy=_proxy(self._settings, url),
                allow_redirects=False,
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_chunked(CHUNK):
                    _append(body, chunk)
                return Answer(status=response.status, body=bytes(body), headers={k.lower(): v for k, v in response.headers.items()})
        except _AIOHTTP_ERRORS as error:
            raise _lost(self._settings, error, sent=not isinstance(error, aiohttp.ClientConnectorError)) from error

    async def fetch(self, url: str, write: Callable[[bytes], object]) -> None:
        """Write what is behind this link; KlingDownloadError for anything but the whole of it."""
        check_link(url)
        try:
            async with self._session.get(_exact(url), proxy=_proxy(self._settings, url)) as response:
                check_video(url, response.status, response.headers.get("Content-Type", ""))
                async for chunk in response.content.iter_chunked(CHUNK):
                    write(chunk)
        except (*_AIOHTTP_ERRORS, ValueError) as error:
            raise KlingDownloadError(f"{_host(url)} broke off a video: {_reason(error)}.", retryable=True) from error

    async def close(self) -> None:
        await self._session.close()


class _Bearer(requests.auth.AuthBase):
    """A token, and nothing that a netrc file says instead."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


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
        raise KlingDownloadError(f"{_host(url)} answers HTTP {status} for a video.", expired=expired, retryable=retryable)
    if content_type.startswith(("text/", "application/json")):
        raise KlingDownloadError(
            f"{_host(url)} answers {content_type.partition(';')[0]} where a video is expected.", retryable=True
        )


def _append(body: bytearray, chunk: bytes) -> None:
    body += chunk
    if len(body) > MOST_ANSWER:
        raise KlingConnectionError(f"An answer is larger than {MOST_ANSWER:,} bytes; no answer of the API is.", sent=True)


def _url(settings: KlingSettings, call: Call[Any]) -> str:
    query = f"?{urlencode(call.params)}" if call.params else ""
    return f"{settings.base_url}{call.path}{query}"


def _exact(url: str) -> Any:
    """The URL as it stands: aiohttp would unquote what an external id needs quoted."""
    import yarl

    return yarl.URL(url, encoded=True)


def _payload(call: Call[Any]) -> bytes | None:
    return None if call.body is None else json.dumps(call.body, ensure_ascii=False).encode()


def _proxy(settings: KlingSettings, url: str) -> str | None:
    """The proxy for a URL: the connection's, or the one that the environment names (HTTPS_PROXY, NO_PROXY)."""
    parts = urlsplit(url)
    if settings.proxies:
        return settings.proxies.get(parts.scheme)
    return None if urllib.request.proxy_bypass(parts.netloc) else urllib.request.getproxies().get(parts.scheme)


def _proxies(settings: KlingSettings, url: str) -> dict[str, str]:
    proxy = _proxy(settings, url)
    return {"http": proxy, "https": proxy} if proxy else {}


def _ca_bundle(settings: KlingSettings) -> str | None:
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
    return str(requests.utils.DEFAULT_CA_BUNDLE_PATH)


def _ssl(settings: KlingSettings) -> ssl.SSLContext | bool:
    path = _ca_bundle(settings)
    if path:
        folder = os.path.isdir(path)
        return ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)
    return bool(settings.verify)


def _never_sent(error: BaseException) -> bool:
    """Whether requests could not even connect, so that nothing can have arrived."""
    import urllib3

    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.SSLError | requests.exceptions.ProxyError):
        return True
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _lost(settings: KlingSettings, error: BaseException, *, sent: bool) -> KlingConnectionError:
    what = "no whole answer came from" if sent else "no connection to"
    reason = _reason(error)
    hint = " It seems to speak plain HTTP: begin the base URL with http://." if "WRONG_VERSION_NUMBER" in reason else ""
    return KlingConnectionError(f"{what[0].upper()}{what[1:]} {settings.base_url}: {reason}.{hint}", sent=sent)


def _reason(error: BaseException) -> str:
    """What happened, in a few words: the innermost reason, without the objects around it."""
    text = str(error)
    if isinstance(error, asyncio.TimeoutError | requests.Timeout) or "timed out" in text.lower():
        return "timed out"
    inner = error
    while (inner.__cause__ or inner.__context__) is not None:
        inner = inner.__cause__ or inner.__context__  # type: ignore[assignment]
    return (str(inner) or type(inner).__name__).rstrip(".")[:200]


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the video's host"
