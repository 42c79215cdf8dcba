"""HTTP with aiohttp, for the triggerer and the batch."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import yarl

from airflow_provider_kling.api import Call, Response
from airflow_provider_kling.client.addresses import MOST_HOPS, REDIRECTS, check_address, next_link, too_many_hops
from airflow_provider_kling.client.bodies import ACCEPTED, ResponseBody, VideoBody
from airflow_provider_kling.client.certificates import tls_context
from airflow_provider_kling.client.proxies import proxy_for
from airflow_provider_kling.client.settings import CONNECT_TIMEOUT, KlingSettings
from airflow_provider_kling.client.transport import (
    CHUNK,
    PACE,
    POOL_SIZE,
    USER_AGENT,
    body_of,
    check_proxy,
    check_video,
    connection_error,
    download_error,
    download_time_left,
    leads_to_public_only,
    pace_of,
    time_left,
    url_of,
)

_ERRORS = (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError)
_LONGEST_HEADER = 64 * 1024  # bytes, as for urllib3


@dataclass
class _Progress:
    """How far a request has come: whether any byte of it may have left this machine."""

    sent: bool = False


class AiohttpTransport:
    """Sends calls and downloads videos, over sessions of aiohttp. It belongs to the event loop in which it was created.

    `deadline` is on the clock of that loop.
    """

    def __init__(self, settings: KlingSettings) -> None:
        self._settings = settings
        self._session = _session(settings)
        self._public_session: aiohttp.ClientSession | None = None  # for videos; made when it is needed

    async def send(self, call: Call[Any], token: str, *, deadline: float | None = None) -> Response:
        """Send the call and return the response. Raises KlingConnectionError if no complete response arrives in time."""
        url, body = url_of(self._settings, call), body_of(call)
        left = time_left(self._settings, body, until=_until(deadline))
        proxy, progress = proxy_for(self._settings.proxies, url), _Progress()
        try:
            async with self._session.request(
                call.method,
                _as_written(url),
                data=body,
                headers={
                    "Content-Type": "application/json",
                    "Accept-Encoding": ACCEPTED,
                    "Authorization": f"Bearer {token}",
                },
                proxy=proxy.url if proxy else None,
                allow_redirects=False,
                timeout=_timeout(self._settings, left),
                trace_request_ctx=progress,
            ) as response:
                check_proxy(response.status, proxy)
                collected = ResponseBody(response.headers.get("Content-Encoding"))
                async for chunk in response.content.iter_chunked(CHUNK):
                    collected.feed(chunk)
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Response(status=response.status, body=collected.end(), headers=headers)
        except _ERRORS as error:
            problem = connection_error(self._settings, error, sent=progress.sent, proxy=proxy)
        raise problem

    async def fetch(self, url: str, write: Callable[[bytes], object], *, deadline: float | None = None) -> None:
        """Download the video of this link, chunk by chunk. Raises KlingDownloadError unless all of it arrives in time."""
        for _ in range(1 + MOST_HOPS):
            public_only = leads_to_public_only(self._settings, url)
            left = download_time_left(url, until=_until(deadline))
            target = await self._fetch_or_redirect(url, write, left, public_only=public_only)
            if target is None:
                return
            url = target
        raise too_many_hops(url)

    async def _fetch_or_redirect(self, url: str, write: Callable[[bytes], object], left: float, *, public_only: bool) -> str | None:
        """Download a video, or return where its link is redirected to."""
        if public_only and self._public_session is None:
            self._public_session = _session(self._settings, socket_factory=_public_socket)
        session = self._public_session if public_only and self._public_session else self._session
        body: VideoBody | None = None
        proxy, pace = proxy_for(self._settings.proxies, url), _Pace(pace_of(self._settings))
        try:
            async with session.get(
                _as_written(url),
                headers={"Accept-Encoding": "identity"},
                proxy=proxy.url if proxy else None,
                allow_redirects=False,
                timeout=_timeout(self._settings, left),
            ) as response:
                if response.status in REDIRECTS:
                    return next_link(url, response.headers.get("Location"))
                check_video(url, response.status, proxy)
                body = VideoBody(url, response.headers.get("Content-Encoding"), write)
                async for chunk in response.content.iter_chunked(CHUNK):
                    pace.check(len(chunk))
                    body.feed(chunk)
                body.end()
                return None
        except _ERRORS as error:
            if body and error is body.write_error:
                raise
            problem = download_error(self._settings, url, error, proxy=proxy)
        raise problem

    async def close(self) -> None:
        await self._session.close()
        if self._public_session is not None:
            await self._public_session.close()


class _Pace:
    """Raises TimeoutError when a download brings less than `PACE` bytes in so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since = asyncio.get_running_loop().time()
        self._bytes = 0

    def check(self, size: int) -> None:
        self._bytes += size
        now = asyncio.get_running_loop().time()
        if self._bytes >= PACE:
            self._since, self._bytes = now, 0
        elif now - self._since > self._seconds:
            raise asyncio.TimeoutError


def _session(settings: KlingSettings, **options: Any) -> aiohttp.ClientSession:
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(_connected)
    trace.on_connection_reuseconn.append(_connected)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=POOL_SIZE, ssl=tls_context(settings.verify), **options),
        headers={"User-Agent": USER_AGENT},
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[trace],
        auto_decompress=False,  # `bodies` unpacks, within bounds
        max_line_size=_LONGEST_HEADER,
        max_field_size=_LONGEST_HEADER,
    )


async def _connected(session: aiohttp.ClientSession, context: Any, params: object) -> None:
    """The connection stands, its tunnel and TLS included. Until now, nothing of the request was sent."""
    if isinstance(context.trace_request_ctx, _Progress):
        context.trace_request_ctx.sent = True


def _public_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket to connect to this address with. Raises PrivateAddressError if it is not public."""
    family, kind, protocol, _, target = address
    check_address(str(target[0]))
    return socket.socket(family=family, type=kind, proto=protocol)


def _timeout(settings: KlingSettings, left: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=left, sock_connect=min(CONNECT_TIMEOUT, left), sock_read=settings.timeout, ceil_threshold=math.inf
    )


def _as_written(url: str) -> yarl.URL:
    """The URL as it is written: aiohttp would unquote characters that must stay quoted in an external id."""
    return yarl.URL(url, encoded=True)


def _until(deadline: float | None) -> float | None:
    return None if deadline is None else deadline - asyncio.get_running_loop().time()
