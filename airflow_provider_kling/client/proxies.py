"""Which proxy a request goes through: the connection's, the environment's, or none. Both transports ask here.

The environment is read as curl and requests read it: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in capitals or not.
A proxy that the operating system has elsewhere (macOS, Windows) does not count.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from airflow_provider_kling.client.addresses import DEFAULT_PORTS
from airflow_provider_kling.errors import KlingSettingsError
from airflow_provider_kling.patterns import pattern
from airflow_provider_kling.redaction import show_place

NO_PROXY: Mapping[str, str] = {"http": "", "https": ""}  # the connection's `proxies` where it wants none

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_HOST = pattern(r"[\w.\-]+|[0-9A-Fa-f:.]+")  # a name or an address
_PORT = pattern(r"(?P<host>\[[^\]]*\]|[^:]*):(?P<port>\d{1,5})")  # not the end of a bare IPv6 address


class Proxy(NamedTuple):
    """The URL of a proxy, which may hold its password, and where the URL comes from."""

    url: str
    source: str

    @property
    def name(self) -> str:
        """The proxy as an error names it."""
        return f"the proxy {show_place(self.url)} ({self.source})"


def proxy_for(proxies: Mapping[str, str], url: str) -> Proxy | None:
    """The proxy for a URL: the connection's, or else the environment's. None for no proxy.

    `proxies` are those of the connection; an empty URL means no proxy. The environment's proxies are never used for this
    machine itself. Raises KlingSettingsError for a proxy that is no HTTP proxy, or no URL.
    """
    scheme = urlsplit(url).scheme
    if proxies:
        proxy, source = proxies.get(scheme), "the connection's proxies"
    else:
        environment = getproxies_environment()
        name = scheme if environment.get(scheme) else "all"
        proxy, source = environment.get(name), f"{name.upper()}_PROXY"
        if not proxy or is_excluded(url, environment.get("no", "")):
            return None
    return Proxy(checked_proxy(proxy, source), source) if proxy else None


def proxies_known(proxies: Mapping[str, str]) -> list[str]:
    """All proxies of the connection and of the environment, whose passwords an error may repeat."""
    return [proxy for proxy in (*proxies.values(), *getproxies_environment().values()) if proxy]


def checked_proxy(proxy: str, source: str) -> str:
    """The URL of an HTTP proxy, whose scheme may be missing. Raises KlingSettingsError for any other proxy."""
    url = proxy.strip()
    url = url if "://" in url else f"http://{url}"  # as curl reads it
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and _HOST.fullmatch(parts.hostname or "") and parts.port != 0
        valid = valid and not parts.query and not parts.fragment and parts.path in ("", "/")
    except ValueError:
        valid = False
    if not valid:
        socks = " SOCKS proxies are not supported." if url.lower().startswith("socks") else ""
        text = f"{source} is {show_place(proxy)}; wanted is an HTTP proxy like http://proxy.example:3128.{socks}"
        raise KlingSettingsError(text[0].upper() + text[1:])
    return url


def is_excluded(url: str, no_proxy: str) -> bool:
    """Whether NO_PROXY, or that it is this machine itself, keeps the host of a URL from the environment's proxies.

    An entry is `*`, a domain (with or without a dot or `*.` before it, its subdomains included), an address, or a network like
    10.0.0.0/8 or fd00::/8, and may end with a port. Networks hold addresses; names are not looked up.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return False
    address = _address(host)
    if host == "localhost" or host.endswith(".localhost") or (address and address.is_loopback):
        return True
    return any(_matches(entry, host, address, port) for entry in re.split(r"[,\s]+", no_proxy.strip().lower()) if entry)


def _matches(entry: str, host: str, address: _Address | None, port: int | None) -> bool:
    if entry == "*":
        return True
    if with_port := _PORT.fullmatch(entry):
        if int(with_port["port"]) != port:
            return False
        entry = with_port["host"]
    entry = entry.strip("[]")
    if address is None:
        domain = entry.removeprefix("*").strip(".")
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _address(host: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
