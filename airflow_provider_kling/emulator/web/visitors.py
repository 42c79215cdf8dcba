"""Which requests may steer: those of programs. The steering has no login, and any page in a browser reaches this machine.

A browser says where a page comes from, in `Origin` and `Sec-Fetch-Site`; curl and other programs send neither. To the browser,
a page whose name an attacker lets point to this machine (DNS rebinding) is of the same origin, so a name must be known, too.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

from airflow_provider_kling.emulator.model import Settings
from airflow_provider_kling.redaction import show_place

OWN_PAGES = ("same-origin", "none")  # values of Sec-Fetch-Site; `none` is a URL that a person has typed


def why_refused(request: web.Request, settings: Settings) -> str:
    """Why this request may not steer; an empty text if it may."""
    host = request.headers.get("Host", "")
    if host and not _is_known(_name(f"//{host}"), settings):
        return (
            f"The emulator is not known as {show_place(host)!r}. To steer it by another name than localhost or an IP address, "
            "start it with --allowed-hosts NAME (KLING_EMULATOR_ALLOWED_HOSTS)."
        )
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() != f"{request.scheme}://{host}".lower():
        return "A web page of another origin may not steer the emulator."
    if request.headers.get("Sec-Fetch-Site", "none").lower() not in OWN_PAGES:
        return "A web page of another site may not steer the emulator."
    return ""


def _is_known(name: str, settings: Settings) -> bool:
    named = (settings.host.lower(), _name(settings.public_url), *map(str.lower, settings.allowed_hosts))
    if name == "localhost" or (name and name in named):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name(url: str) -> str:
    """The host of a URL in lower case; an empty text where there is none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""
