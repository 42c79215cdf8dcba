"""HTTP with requests, for workers."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from airflow_provider_kling.api import Call, Response
from airflow_provider_kling.client.addresses import MOST_HOPS, REDIRECTS, next_link, too_many_hops
from airflow_provider_kling.client.bodies import ACCEPTED, ResponseBody, VideoBody
from airflow_provider_kling.client.connections import POOLS, PUBLIC_POOLS
from airflow_provider_kling.client.proxies import Proxy, proxy_for
from airflow_provider_kling.client.settings import CONNECT_TIMEOUT, KlingSettings
from airflow_provider_kling.client.transport import (
    CHUNK,
    PACE,
    POOL_SIZE,
    USER_AGENT,
    body_of,
    ca_bundle,
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

# All that the libraries raise; those of requests are OSErrors, too.
_ERRORS = (OSError, ValueError, urllib3.exceptions.HTTPError, HTTPException)


class RequestsTransport:
    """Sends calls and downloads videos, over keep-alive sessions of requests. `deadline` is on the clock of `time.monotonic`."""

    def __init__(self, settings: KlingSettings) -> None:
        self._settings = settings
        self._api = self._session(POOLS)
        self._videos = self._session(POOLS)
        self._public_videos = self._session(PUBLIC_POOLS)

    def _session(self, pools: dict[str, Any]) -> requests.Session:
        session = requests.Session()
        session.headers.update({"User-Agent": USER_AGENT})
        session.trust_env = False  # `transport` reads the environment, for both libraries in the same way
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # stores no cookie, like the aiohttp transport
        session.verify = ca_bundle(self._settings) or self._settings.verify
        for scheme in ("https://", "http://"):
            session.mount(scheme, _Adapter(pools))
        return session

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
            except _ERRORS as error:
                problem = connection_error(self._settings, None if watchdog.expired else error, sent=watchdog.sent, proxy=proxy)
        raise problem or connection_error(self._settings, None, sent=watchdog.sent, proxy=proxy)

    def _respond(self, method: str, url: str, body: bytes | None, token: str, proxy: Proxy | None, watchdog: Watchdog) -> Response:
        with self._api.request(
            method,
            url,
            data=body,
            headers={"Content-Type": "application/json", "Accept-Encoding": ACCEPTED},
            auth=_Bearer(token),
            timeout=(min(CONNECT_TIMEOUT, watchdog.left), self._settings.timeout),
            proxies=_proxies(proxy),
            allow_redirects=False,
            stream=True,
        ) as response:
            check_proxy(response.status_code, proxy)
            collected = ResponseBody(response.headers.get("Content-Encoding"))
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                collected.feed(chunk)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Response(status=response.status_code, body=collected.end(), headers=headers)

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
        session = self._public_videos if public_only else self._videos
        proxy = proxy_for(self._settings.proxies, url)
        problem: BaseException | None = None
        body: VideoBody | None = None
        with Watchdog(left, pace=pace_of(self._settings)) as watchdog:
            try:
                with session.get(
                    url,
                    headers={"Accept-Encoding": "identity"},
                    proxies=_proxies(proxy),
                    timeout=(min(CONNECT_TIMEOUT, left), self._settings.timeout),
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    if response.status_code in REDIRECTS:
                        return next_link(url, response.headers.get("Location"))
                    check_video(url, response.status_code, proxy)
                    body = VideoBody(url, response.headers.get("Content-Encoding"), write)
                    for chunk in response.raw.stream(PACE, decode_content=False):
                        watchdog.fed()
                        body.feed(chunk)
                    body.end()
                if not watchdog.expired:
                    return None
            except _ERRORS as error:
                if body and error is body.write_error:
                    raise
                problem = download_error(self._settings, url, None if watchdog.expired else error, proxy=proxy)
        raise problem or download_error(self._settings, url, None, proxy=proxy)

    def close(self) -> None:
        for session in (self._api, self._videos, self._public_videos):
            session.close()


class _Adapter(HTTPAdapter):
    """An adapter whose connections are those of these pools, also through a proxy."""

    def __init__(self, pools: dict[str, Any]) -> None:
        self._pools = pools
        super().__init__(pool_connections=4, pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


class _Bearer(requests.auth.AuthBase):
    """Sends a token. With `auth` set, requests does not read a netrc file."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _proxies(proxy: Proxy | None) -> dict[str, str]:
    return {"http": proxy.url, "https": proxy.url} if proxy else {}


def _until(deadline: float | None) -> float | None:
    return None if deadline is None else deadline - time.monotonic()
