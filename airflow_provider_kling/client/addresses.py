"""Where a link may lead: a video's host is named by an answer, so it must not reach into the network of the worker.

What counts is the address that is connected to, at each hop of a download. Private, loopback, link-local, multicast,
reserved and unspecified addresses are refused, unless the link has the origin of the connection's base URL, or the connection
allows them (extra `allow_private_links`). A proxy connects in our place: then only an address in the link itself can be judged.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from urllib.parse import urljoin, urlsplit

from airflow_provider_kling.errors import KlingDownloadError
from airflow_provider_kling.redaction import show_host, show_url

MOST_HOPS = 5  # redirects of one download
REDIRECTS = (301, 302, 303, 307, 308)

_NOT_PUBLIC = "is not a public address"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
DEFAULT_PORTS = {"http": 80, "https": 443}


class PrivateAddressError(OSError):
    """Raised instead of a connection to an address that is not public."""

    def __init__(self, address: str) -> None:
        super().__init__(errno.EACCES, f"{address} {_NOT_PUBLIC}")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet; so is the IPv4 address within an IPv6 address that stands for it."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        within = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            within = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if within:
            return is_public(str(within))
        if ip.teredo or ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def check_address(address: str) -> None:
    """Raise PrivateAddressError unless an IP address is public."""
    if not is_public(address):
        raise PrivateAddressError(address)


def check_host(url: str) -> None:
    """Raise KlingDownloadError for a link whose host is written as an address that is not public, or as `localhost`."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    address = _literal(host)
    if (address and not is_public(address)) or host == "localhost" or host.endswith(".localhost"):
        raise refused(url, f"{host} {_NOT_PUBLIC}")


def check_link(url: str) -> None:
    """Raise KlingDownloadError for a link that no client can follow: the libraries raise various errors for such a URL."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise KlingDownloadError(
            f"The link of a video is {show_url(url)[:100]!r}; wanted is a URL that begins with https:// or http://."
        )


def next_link(url: str, location: str | None) -> str:
    """Where a redirect leads. Raises KlingDownloadError if that is no link."""
    try:
        target = urljoin(url, location or "")
    except ValueError:
        target = location or ""
    if not location:
        raise KlingDownloadError(f"{show_host(url)} redirects a video to nowhere.", retryable=True)
    check_link(target)
    return target


def too_many_hops(url: str) -> KlingDownloadError:
    return KlingDownloadError(f"{show_host(url)} redirects a video more than {MOST_HOPS} times.", retryable=True)


def same_origin(url: str, other: str) -> bool:
    """Whether two URLs have the same scheme, host and port."""
    return _origin(url) == _origin(other)


def refused(url: str, reason: str) -> KlingDownloadError:
    return KlingDownloadError(
        f"The link of a video leads to {show_host(url)}: {reason}. If your network needs it, "
        "set allow_private_links in the extra of the connection."
    )


def refusal_in(text: str) -> str | None:
    """What PrivateAddressError says, if the text of a library's error holds it."""
    if _NOT_PUBLIC not in text:
        return None
    address = text.partition(f" {_NOT_PUBLIC}")[0].rpartition(" ")[2]
    return f"{address} {_NOT_PUBLIC}"


def _literal(host: str) -> str | None:
    """The address that a host is written as, also in the old forms of IPv4 like 127.1 or 0x7f000001."""
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(host))
    with contextlib.suppress(OSError, ValueError):
        return socket.inet_ntoa(socket.inet_aton(host))
    return None


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)
