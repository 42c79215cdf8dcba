"""HTTP with requests, for workers."""

from __future__ import annotations

from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

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
    proxies_for,
    url_of,
)


class RequestsTransport:
    """Sends calls and downloads videos, over keep-alive sessions of requests."""

    def __init__(self, settings: KlingSettings) -> None:
        self._settings = settings
        self._api = self._session()
        self._videos = self._session()

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.headers.update({"User-Agent": USER_AGENT})
        session.trust_env = False  # `transport` reads the environment, for both libraries in the same way
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # stores no cookie, like the aiohttp transport
        session.verify = ca_bundle(self._settings) or self._settings.verify
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=POOL_SIZE))
        return session

    def send(self, call: Call[Any], token: str) -> Response:
        """Send the call and return the response. Raises KlingConnectionError if no complete response arrives."""
        try:
            with self._api.request(
                call.method,
                url_of(self._settings, call),
                data=body_of(call),
                headers={"Content-Type": "application/json"},
                auth=_Bearer(token),
                timeout=(CONNECT_TIMEOUT, self._settings.timeout),
                proxies=proxies_for(self._settings, self._settings.base_url),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = bytearray()
                for chunk in response.iter_content(CHUNK):
                    append(body, chunk)
                return Response(
                    status=response.status_code, body=bytes(body), headers={k.lower(): v for k, v in response.headers.items()}
                )
        except requests.RequestException as error:
            raise connection_error(self._settings, error, sent=not _was_not_sent(error)) from error

    def fetch(self, url: str, write: Callable[[bytes], object]) -> None:
        """Download the video of this link, chunk by chunk. Raises KlingDownloadError unless all of it arrives."""
        check_link(url)
        try:
            with self._videos.get(
                url, proxies=proxies_for(self._settings, url), timeout=(CONNECT_TIMEOUT, self._settings.timeout), stream=True
            ) as response:
                check_video(url, response.status_code, response.headers.get("Content-Type", ""))
                for chunk in response.iter_content(CHUNK):
                    write(chunk)
        except (requests.RequestException, ValueError) as error:
            raise download_error(url, error) from error

    def close(self) -> None:
        self._api.close()
        self._videos.close()


class _Bearer(requests.auth.AuthBase):
    """Sends a token. With `auth` set, requests does not read a netrc file."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _was_not_sent(error: BaseException) -> bool:
    """Whether requests could not connect, so that the request cannot have arrived."""
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.SSLError | requests.exceptions.ProxyError):
        return True
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)
