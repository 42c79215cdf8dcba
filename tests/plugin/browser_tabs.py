"""Tabs of a Chromium that notice what a page must not do: errors in its console, breaches of its policy, requests elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

WAIT = 30_000  # milliseconds, which a busy machine may need

# For `evaluate` of a <video>; `wait_for_function` evaluates texts as scripts, which the pages' policy forbids.
UNTIL_IT_PLAYS = "(video) => new Promise((resolve) => video.addEventListener('timeupdate', () => video.paused || resolve()))"


class Tab:
    """A tab of a user. `page` is Playwright's; `complaints` are what went wrong in it, `elsewhere` requests to other servers."""

    def __init__(self, browser: Any, url: str, token: str | None = None, **options: Any) -> None:
        self.url = url
        self.context = browser.new_context(base_url=url, **{"viewport": {"width": 1280, "height": 900}, **options})
        self.context.set_default_timeout(60_000)
        if token:
            self.context.add_cookies([{"name": "_token", "value": token, "url": url}])
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._asked)

    def _said(self, message: Any) -> None:
        # Chromium says this of each iframe that Airflow makes for a plugin.
        if message.type in ("error", "warning") and "can escape its sandboxing" not in message.text:
            self.complaints.append(f"{message.text} ({message.location['url']})")

    def _asked(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https") and parts.netloc != urlsplit(self.url).netloc:
            self.elsewhere.append(request.url)


@contextlib.contextmanager
def flawless_tabs() -> Iterator[Callable[[Tab], Any]]:
    """A function that takes a new tab and returns its page; at the end, none of the tabs may have complained or asked elsewhere."""
    opened: list[Tab] = []

    def page_of(tab: Tab) -> Any:
        opened.append(tab)
        return tab.page

    yield page_of
    for tab in opened:
        tab.context.close()
    assert [(tab.complaints, tab.elsewhere) for tab in opened] == [([], [])] * len(opened)


def shows(elements: Any, wanted: list[str], *, start: int = 0, whole: bool = True) -> None:
    """Wait until the elements show these texts: all of them, or, unless `whole`, so many from number `start` on."""
    from playwright.sync_api import expect

    if whole:
        expect(elements).to_have_text(wanted, use_inner_text=True, timeout=WAIT)
        return
    for index, text in enumerate(wanted, start):
        expect(elements.nth(index)).to_have_text(text, use_inner_text=True, timeout=WAIT)
