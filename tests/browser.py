"""Debian's Chromium, driven by Playwright: `apt-get install chromium`. Nothing is downloaded."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = "" if CHROMIUM else "needs Debian's package chromium"
if importlib.util.find_spec("playwright") is None:
    MISSING = "needs the package playwright"

needs_chromium = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser without a window."""
    from playwright.sync_api import sync_playwright

    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=root)
        try:
            yield browser
        finally:
            browser.close()
