"""Whether an image's URL answers, without loading the image. Kling loads it from its own network: a doubt is no proof."""

from __future__ import annotations

from typing import Any

from airflow_provider_kling.client.addresses import MOST_HOPS, REDIRECTS, check_host, next_link
from airflow_provider_kling.client.certificates import tls_context
from airflow_provider_kling.client.connections import ERRORS, Connections
from airflow_provider_kling.client.proxies import proxy_for
from airflow_provider_kling.client.transport import USER_AGENT
from airflow_provider_kling.client.watchdog import Watchdog
from airflow_provider_kling.errors import KlingDownloadError
from airflow_provider_kling.redaction import show_place

CONNECT_LIMIT, READ_LIMIT = 5.0, 10.0  # seconds
TIME_LIMIT = 20.0  # seconds for one answer, whatever trickles in
GONE = (404, 410)
IMAGES = ("image/jpeg", "image/jpg", "image/png")


def link_problem(url: str, *, allow_private: bool = False) -> str | None:
    """What is wrong with the URL of an image, in one sentence; None if it answers well, or if it cannot be asked from here.

    A store may refuse the head of a link that is signed for a whole read, so then its first byte is asked for.
    """
    connections = Connections(tls_context(verify=True))
    try:
        for _ in range(1 + MOST_HOPS):
            if not allow_private:
                check_host(url)
            response = _ask(connections, url, "HEAD", public_only=not allow_private)
            if response.status in REDIRECTS:
                url = next_link(url, response.headers.get("Location"))
                continue
            if response.status >= 400:
                response = _ask(connections, url, "GET", public_only=not allow_private)
            return _problem(url, response)
    except KlingDownloadError:
        return f"{show_place(url)}: the URL leads nowhere that Kling can reach."
    except ERRORS:
        return None  # from this machine; Kling's network may reach it
    finally:
        connections.close()
    return f"{show_place(url)}: the URL is redirected more than {MOST_HOPS} times."


def _ask(connections: Connections, url: str, method: str, *, public_only: bool) -> Any:
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if method == "GET":
        headers["Range"] = "bytes=0-0"
    proxy = proxy_for({}, url)  # it connects in our place, and its own address may be private
    with (
        Watchdog(TIME_LIMIT),
        connections.request(
            method,
            url,
            headers=headers,
            connect=CONNECT_LIMIT,
            read=READ_LIMIT,
            proxy=proxy,
            public_only=public_only and proxy is None,
        ) as response,
    ):
        return response


def _problem(url: str, response: Any) -> str | None:
    place = show_place(url)
    if response.status in GONE:
        return f"{place}: there is nothing at this URL (HTTP {response.status})."
    if response.status in (401, 403):
        return f"{place}: the URL may not be read (HTTP {response.status}); wanted is one that Kling can load without a login."
    kind = (response.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    if response.status < 300 and kind.startswith(("text/", "video/", "image/")) and kind not in IMAGES:
        return f"{place}: the URL leads to {kind[:60]}; wanted is a JPEG or PNG."
    return None
