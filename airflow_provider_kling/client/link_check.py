"""Whether an image's URL answers, without loading the image. Kling loads it from its own network: a doubt is no proof."""

from __future__ import annotations

from http.client import HTTPException
from typing import Any

import urllib3

from airflow_provider_kling.client.addresses import MOST_HOPS, REDIRECTS, check_host, next_link
from airflow_provider_kling.client.connections import POOLS, PUBLIC_POOLS
from airflow_provider_kling.client.proxies import proxy_for
from airflow_provider_kling.client.transport import USER_AGENT
from airflow_provider_kling.errors import KlingDownloadError
from airflow_provider_kling.redaction import show_place

TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)
GONE = (404, 410)
IMAGES = ("image/jpeg", "image/jpg", "image/png")


def link_problem(url: str, *, allow_private: bool = False) -> str | None:
    """What is wrong with the URL of an image, in one sentence; None if it answers well, or if it cannot be asked from here.

    A store may refuse the head of a link that is signed for a whole read, so then its first byte is asked for.
    """
    try:
        for _ in range(1 + MOST_HOPS):
            if not allow_private:
                check_host(url)
            response = _ask(url, "HEAD", allow_private)
            if response.status in REDIRECTS:
                url = next_link(url, response.headers.get("Location"))
                continue
            if response.status >= 400:
                response = _ask(url, "GET", allow_private)
            return _problem(url, response)
    except KlingDownloadError:
        return f"{show_place(url)}: the URL leads nowhere that Kling can reach."
    except (OSError, ValueError, urllib3.exceptions.HTTPError, HTTPException):
        return None  # from this machine; Kling's network may reach it
    return f"{show_place(url)}: the URL is redirected more than {MOST_HOPS} times."


def _ask(url: str, method: str, allow_private: bool) -> Any:
    pools = POOLS if allow_private else PUBLIC_POOLS
    proxy = proxy_for({}, url)
    manager: Any = urllib3.ProxyManager(proxy.url, cert_reqs="CERT_REQUIRED") if proxy else urllib3.PoolManager()
    manager.pool_classes_by_scheme = pools
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if method == "GET":
        headers["Range"] = "bytes=0-0"
    response = manager.request(method, url, headers=headers, redirect=False, retries=False, timeout=TIMEOUT, preload_content=False)
    response.close()
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
