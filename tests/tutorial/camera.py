"""The pictures of the tutorial, taken while it runs: `make tutorial ARGS=--pictures`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import requests
from page_blocks import Block
from playwright.sync_api import Page, sync_playwright
from walk import ROOT, Walk

sys.path.append(str(ROOT / "docs" / "pictures"))

from take import UNTIL_ALL_PICTURES_ARE_THERE, Pictures

RENAME = """([folder, shown]) => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(folder, shown);
}"""  # the folder of the walk, which is that of one machine


class Camera:
    """Looks at Airflow's pages after some of the blocks."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.moments: dict[tuple[str, str], Callable[[], None]] = {
            ("01-five-minutes.md", "ls videos"): self.portrait,
            ("03-manifest.md", "ls out out/videos"): self.catalogue,
            ("05-every-night.md", "python listing.py s3://store@kling-tutorial/videos"): self.nightly,
        }

    def __call__(self, block: Block) -> None:
        if moment := self.moments.get((block.page, block.text.splitlines()[0])):
            moment()

    def portrait(self) -> None:
        (run_id,) = self.walk.runs("portrait")
        with self._page(f"{self.walk.airflow}/dags/portrait/runs/{run_id}/plugin/kling-videos", 1280, 720) as page:
            self._save(page, "start-portrait", framed=True)

    def catalogue(self) -> None:
        with self._page(f"{self.walk.airflow}/dags/catalogue/runs/first/plugin/kling-videos", 1280, 900) as page:
            self._save(page, "start-catalogue", framed=True)
        with self._page((self.walk.folder / "kling" / "out" / "report.html").as_uri(), 1280, 900) as page:
            self._save(page, "start-report")

    def nightly(self) -> None:
        with self._page(f"{self.walk.airflow}/dags/nightly/runs", 1280, 560) as page:
            self._save(page, "start-nightly")

    @contextmanager
    def _page(self, address: str, width: int, height: int) -> Iterator[Page]:
        token = requests.get(f"{self.walk.airflow}/auth/token", timeout=60).json()["access_token"]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
            context.set_default_timeout(60_000)
            context.add_cookies([{"name": "_token", "value": token, "url": self.walk.airflow}])
            page = context.new_page()
            page.goto(address)
            yield page
            browser.close()

    def _save(self, page: Page, name: str, *, framed: bool = False) -> None:
        if framed:
            handle = page.locator("iframe").element_handle()
            frame = handle.content_frame() if handle else None
            assert frame
            frame.locator(".card:not(.skeleton)").first.wait_for()
            frame.evaluate(UNTIL_ALL_PICTURES_ARE_THERE)
        page.wait_for_timeout(4000)
        page.evaluate(RENAME, [str(self.walk.folder), "/home/you"])
        Pictures.save(None, page, name)  # type: ignore[arg-type]
