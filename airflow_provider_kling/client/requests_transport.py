"""HTTP by requests, for workers."""

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
    broken_off,
    ca_bundle,
    check_link,
    check_video,
    lost,
    proxies_for,
    url_of,
)


class RequestsTransport:
    """Sends calls and fetches videos over keep-alive sessions of requests."""

    def __init__(self, settings: KlingSettings) -> None:
        self._settings = settings
        self._api = self._session()
        self._videos = self._session()

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.headers.update({"User-Agent": USER_AGENT})
        session.trust_env = False  # the environment is read in `transports`, as aiohttp needs it anyway
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # like aiohttp's here: none are kept
        session.verify = ca_bundle(self._settings) or self._settings.verify
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=POOL_SIZE))
        return session

    def send(self, call: Call[Any], token: str) -> Response:
        """The API's answer; KlingConnectionError where none came, or not all of it."""
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
            raise lost(self._settings, error, sent=not _never_sent(error)) from error

    def fetch(self, url: str, write: Callable[[bytes], object]) -> None:
        """Write what is behind this link; KlingDownloadError for anything but the whole of it."""
        check_link(url)
        try:
            with self._videos.get(
                url, proxies=proxies_for(self._settings, url), timeout=(CONNECT_TIMEOUT, self._settings.timeout), stream=True
            ) as response:
                check_video(url, response.status_code, response.headers.get("Content-Type", ""))
                for chunk in response.iter_content(CHUNK):
                    write(chunk)
        except (requests.RequestException, ValueError) as error:
            raise broken_off(url, error) from error

    def close(self) -> None:
        self._api.close()
        self._videos.close()


class _Bearer(requests.auth.AuthBase):
    """A token, and nothing that a netrc file says instead."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _never_sent(error: BaseException) -> bool:
    """Whether requests could not even connect, so that nothing can have arrived."""
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.SSLError | requests.exceptions.ProxyError):
        return True
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)
