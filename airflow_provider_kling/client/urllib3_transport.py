"""HTTP with urllib3, for workers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from airflow_provider_kling.api import Call, Response
from airflow_provider_kling.client.addresses import MOST_HOPS, REDIRECTS, next_link, too_many_hops
from airflow_provider_kling.client.bodies import ACCEPTED, ResponseBody, VideoBody
from airflow_provider_kling.client.certificates import tls_context
from airflow_provider_kling.client.connections import ERRORS, Connections
from airflow_provider_kling.client.proxies import Proxy, proxy_for
from airflow_provider_kling.client.settings import CONNECT_TIMEOUT, KlingSettings
from airflow_provider_kling.client.transport import (
    CHUNK,
    PACE,
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
from airflow_provider_kling.client.watchdog import Watchdog


class Urllib3Transport:
    """Sends calls and downloads videos, over keep-alive connections. `deadline` is on the clock of `time.monotonic`."""

    def __init__(self, settings: KlingSettings) -> None:
        self._settings = settings
        self._connections = Connections(tls_context(settings.verify))

    def send(self, call: Call[Any], token: str, *, deadline: float | None = None) -> Response:
        """Send the call and return the response. Raises KlingConnectionError if no complete response arrives in time."""
        url, body = url_of(self._settings, call), body_of(call)
        proxy = proxy_for(self._settings.proxies, url)
        problem: BaseException | None = None
        with Watchdog(time_left(self._settings, body, until=_until(deadline))) as watchdog:
            try:
                response = self._respond(call.method, url, body, token, proxy, watchdog)
                if not watchdog.expired:  # else what seems to be the end of the body is the end of the time
                    return response
            except ERRORS as error:
                problem = connection_error(self._settings, None if watchdog.expired else error, sent=watchdog.sent, proxy=proxy)
        raise problem or connection_error(self._settings, None, sent=watchdog.sent, proxy=proxy)

    def _respond(self, method: str, url: str, body: bytes | None, token: str, proxy: Proxy | None, watchdog: Watchdog) -> Response:
        with self._connections.request(
            method,
            url,
            body=body,
            headers={
                "User-Agent": USER_AGENT,
                "Content-Type": "application/json",
                "Accept-Encoding": ACCEPTED,
                "Authorization": f"Bearer {token}",
            },
            connect=min(CONNECT_TIMEOUT, watchdog.left),
            read=self._settings.timeout,
            proxy=proxy,
        ) as response:
            check_proxy(response.status, proxy)
            collected = ResponseBody(response.headers.get("Content-Encoding"))
            for chunk in response.stream(CHUNK, decode_content=False):
                collected.feed(chunk)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Response(status=response.status, body=collected.end(), headers=headers)

    def fetch(self, url: str, write: Callable[[bytes], object], *, deadline: float | None = None) -> None:
        """Download the video of this link, chunk by chunk. Raises KlingDownloadError unless all of it arrives in time."""
        for _ in range(1 + MOST_HOPS):
            public_only = leads_to_public_only(self._settings, url)
            left = download_time_left(url, until=_until(deadline))
            target = self._fetch_or_redirect(url, write, left, public_only=public_only)
            if target is None:
                return
            url = target
        raise too_many_hops(url)

    def _fetch_or_redirect(self, url: str, write: Callable[[bytes], object], left: float, *, public_only: bool) -> str | None:
        """Download a video, or return where its link is redirected to."""
        proxy = proxy_for(self._settings.proxies, url)
        problem: BaseException | None = None
        body: VideoBody | None = None
        with Watchdog(left, pace=pace_of(self._settings)) as watchdog:
            try:
                with self._connections.request(
                    "GET",
                    url,
                    headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
                    connect=min(CONNECT_TIMEOUT, left),
                    read=self._settings.timeout,
                    proxy=proxy,
                    public_only=public_only,
                ) as response:
                    if response.status in REDIRECTS:
                        return next_link(url, response.headers.get("Location"))
                    check_video(url, response.status, proxy)
                    body = VideoBody(url, response.headers.get("Content-Encoding"), write)
                    for chunk in response.stream(PACE, decode_content=False):
                        watchdog.fed()
                        body.feed(chunk)
                    body.end()
                if not watchdog.expired:
                    return None
            except ERRORS as error:
                if body and error is body.write_error:
                    raise
                problem = download_error(self._settings, url, None if watchdog.expired else error, proxy=proxy)
        raise problem or download_error(self._settings, url, None, proxy=proxy)

    def close(self) -> None:
        self._connections.close()


def _until(deadline: float | None) -> float | None:
    return None if deadline is None else deadline - time.monotonic()
