"""Opens the built site from the disk in Chromium: `python .ci/check_site.py`, after `make docs`.

Its search finds something without a server, no page is wider than a phone or a screen, no picture is missing, and llms.txt and
llms-full.txt have every page.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build" / "docs"
CHROMIUM = "/usr/bin/chromium"
WIDTHS = (390, 1280)
QUERY, WANTED = "external id", "Never pay twice"
TOO_WIDE = "() => document.documentElement.scrollWidth > window.innerWidth + 1"
BROKEN = "() => [...document.images].filter((one) => one.complete && one.naturalWidth === 0).map((one) => one.src)"


def search(page: Page) -> None:
    page.goto((SITE / "index.html").as_uri())
    page.fill("input[name=q]", QUERY)
    page.keyboard.press("Enter")
    page.get_by_role("link", name=WANTED, exact=True).and_(page.locator("ul.search li a")).wait_for(timeout=20_000)
    print(f"The search for {QUERY!r} from the disk finds {WANTED!r}.")


def look(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    pages = sorted(path for path in SITE.rglob("*.html") if "_static" not in path.parts)
    for path in pages:
        page.goto(path.as_uri(), wait_until="load")
        assert not page.evaluate(TOO_WIDE), f"{path.relative_to(SITE)} is wider than {width} pixels"
        assert page.evaluate(BROKEN) == [], f"{path.relative_to(SITE)} has pictures that are not there"
    print(f"{len(pages)} pages fit {width} pixels.")


def texts() -> None:
    short, whole = ((SITE / name).read_text(encoding="utf-8") for name in ("llms.txt", "llms-full.txt"))
    pages = [
        path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md") if path.name != "index.md" or "api" in path.parts
    ]
    for page in map(str, pages):
        assert f"]({page}): " in short, f"llms.txt does not have {page}"
        assert f"<!-- {page} -->" in whole, f"llms-full.txt does not have {page}"
        assert (SITE / page).is_file(), f"{page} is not beside its HTML"
    print(f"llms.txt and llms-full.txt have {len(pages)} pages.")


def main() -> None:
    texts()
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser:
        page = browser.new_page()
        search(page)
        for width in WIDTHS:
            look(page, width)


if __name__ == "__main__":
    sys.exit(main())
