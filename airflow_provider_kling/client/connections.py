"""Connections of urllib3 that can be ended in time, know what they have sent, and refuse addresses that are not public."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager, Timeout, make_headers
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError
from urllib3.util import parse_url

from airflow_provider_kling.client.addresses import PrivateAddressError, check_address
from airflow_provider_kling.client.proxies import Proxy
from airflow_provider_kling.client.transport import POOL_SIZE
from airflow_provider_kling.client.watchdog import current

ERRORS = (OSError, ValueError, HTTPError, http.client.HTTPException)  # all that a request can raise


class Connections:
    """Keep-alive connections, by where they lead and the proxy they lead through. Nothing here reads the environment."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._managers: dict[tuple[str | None, bool], PoolManager] = {}

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        connect: float,
        read: float,
        proxy: Proxy | None,
        body: bytes | None = None,
        public_only: bool = False,
    ) -> BaseHTTPResponse:
        """The response, whose body is still to be read. Follows no redirect and repeats nothing. Raises one of ERRORS.

        `connect` and `read` are seconds: for a connection, and between two parts of the response. With `public_only`, it connects
        only to addresses of the public internet.
        """
        manager = self._manager(proxy, public_only=public_only)
        return manager.urlopen(
            method,
            url,
            body=body,
            headers={"Accept": "*/*", **headers},
            timeout=Timeout(connect=connect, read=read),
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )

    def close(self) -> None:
        for manager in self._managers.values():
            manager.clear()

    def _manager(self, proxy: Proxy | None, *, public_only: bool) -> PoolManager:
        key = (proxy.url if proxy else None, public_only)
        if key not in self._managers:
            options: dict[str, Any] = {"num_pools": 4, "maxsize": POOL_SIZE, "ssl_context": self._tls}
            if proxy is None:
                manager = PoolManager(**options)
            else:
                manager = ProxyManager(proxy.url, proxy_headers=_login(proxy.url), proxy_ssl_context=self._tls, **options)
            manager.pool_classes_by_scheme = PUBLIC_POOLS if public_only else POOLS
            self._managers.setdefault(key, manager)
        return self._managers[key]


def _login(proxy: str) -> dict[str, str]:
    """The header with the user and the password in the URL of a proxy, if it has any."""
    auth = parse_url(proxy).auth
    return dict(make_headers(proxy_basic_auth=unquote(auth))) if auth else {}


class _Watched(HTTPConnection):
    """Reports its sockets, and what it sends, to the watchdog of the thread.

    With `public_only` each address is judged, and then connected to itself: the name is not looked up a second time.
    """

    public_only = False
    _connecting = False

    def _new_conn(self) -> socket.socket:
        name = self._dns_host
        try:
            found = socket.getaddrinfo(name.strip("[]"), self.port, 0, socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as failed:
            raise NameResolutionError(self.host, self, socket.gaierror(*failed.args[:2])) from failed
        error: HTTPError = NewConnectionError(self, "the name of the host has no address")
        for *_, address in found:
            try:
                return self._connect_to(str(address[0]))
            except PrivateAddressError as refusal:
                error = NewConnectionError(self, str(refusal))
            except (NewConnectionError, ConnectTimeoutError) as failed:
                error = failed
            finally:
                self._dns_host = name
        raise error

    def _connect_to(self, address: str) -> socket.socket:
        if self.public_only:
            check_address(address)
        watchdog = current()
        if watchdog is not None:
            if not watchdog.left:
                raise ConnectTimeoutError(self, "timed out")
            self.timeout = watchdog.left if self.timeout is None else min(float(self.timeout), watchdog.left)
        self._dns_host = address
        connected = super()._new_conn()
        if watchdog is not None:
            watchdog.watch(connected)
        return connected

    def connect(self) -> None:
        self._connecting = True
        try:
            super().connect()
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        if self.sock is None and self.auto_open:
            self.connect()
        if not self._connecting and (watchdog := current()):  # what is sent while connecting goes to the proxy alone
            watchdog.sends(self.sock)
        super().send(data)


class _WatchedTLS(_Watched, HTTPSConnection):
    pass


class _Public(_Watched):
    public_only = True


class _PublicTLS(_WatchedTLS):
    public_only = True


class _WatchedPool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _WatchedPoolTLS(HTTPSConnectionPool):
    ConnectionCls = _WatchedTLS


class _PublicPool(HTTPConnectionPool):
    ConnectionCls = _Public


class _PublicPoolTLS(HTTPSConnectionPool):
    ConnectionCls = _PublicTLS


# The classes of pools for each scheme, as the pool managers of urllib3 take them.
POOLS: dict[str, type[HTTPConnectionPool]] = {"http": _WatchedPool, "https": _WatchedPoolTLS}
PUBLIC_POOLS: dict[str, type[HTTPConnectionPool]] = {"http": _PublicPool, "https": _PublicPoolTLS}
