"""HTTP with aiohttp, for the triggerer and the batch."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp
import yarl

from airflow_provider_kling.api import Call, Response
from airflow_provider_kling.client.settings import CONNECT_TIMEOUT, KlingSettings
from airflow_provider_kling.client.transport import (
    CHUNK,
    POOL_SIZE,
    USER_AGENT,
    append,
    body_of,
    ca_bundle,
    check_link,
    check_video,
    connection_error,
    download_error,
    proxy_for,
    url_of,
)

_ERRORS = (aiohttp.ClientError, asyncio.TimeoutError, ConnectionError)


class AiohttpTransport:
    """Sends calls and downloads videos, over a session of aiohttp. It belongs to the event loop in which it was created."""

    def __init__(self, settings: KlingSettings) -> None:
        self._settings = settings
        connector = aiohttp.TCPConnector(limit=POOL_SIZE, ssl=_ssl(settings))
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=settings.timeout)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers={"User-Agent": USER_AGENT}, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def send(self, call: Call[Any], token: str) -> Response:
        """Send the call and return the response. Raises KlingConnectionError if no complete response arrives."""
        url = url_of(self._settings, call)
        try:
            async with self._session.request(
                call.method,
                _as_written(url),
                data=body_of(call),
                headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
                proxy=proxy_for(self._settings, url),
                allow_redirects=False,
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_chunked(CHUNK):
                    append(body, chunk)
                return Response(
                    status=response.status, body=bytes(body), headers={k.lower(): v for k, v in response.headers.items()}
                )
        except _ERRORS as error:
            raise connection_error(self._settings, error, sent=not isinstance(error, aiohttp.ClientConnectorError)) from error

    async def fetch(self, url: str, write: Callable[[bytes], object]) -> None:
        """Download the video of this link, chunk by chunk. Raises KlingDownloadError unless all of it arrives."""
        check_link(url)
        try:
            async with self._session.get(_as_written(url), proxy=proxy_for(self._settings, url)) as response:
                check_video(url, response.status, response.headers.get("Content-Type", ""))
                async for chunk in response.content.iter_chunked(CHUNK):
                    write(chunk)
        except (*_ERRORS, ValueError) as error:
            raise download_error(url, error) from error

    async def close(self) -> None:
        await self._session.close()


def _ssl(settings: KlingSettings) -> ssl.SSLContext | bool:
    path = ca_bundle(settings)
    if path:
        folder = os.path.isdir(path)
        return ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)
    return bool(settings.verify)


def _as_written(url: str) -> yarl.URL:
    """The URL as it is written: aiohttp would unquote characters that must stay quoted in an external id."""
    return yarl.URL(url, encoded=True)
