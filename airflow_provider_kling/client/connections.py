"""Connections of urllib3 that can be ended in time, know what they have sent, and refuse addresses that are not public."""

from __future__ import annotations

import socket
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError

from airflow_provider_kling.client.addresses import PrivateAddressError, check_address
from airflow_provider_kling.client.watchdog import current


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
