"""Takes the pictures of the plugin's pages again: `make pictures`, or `python docs/pictures/take.py [NAME …]`.

A real Airflow runs the sample DAGs against the emulator, and Debian's Chromium looks at it. All it makes lies in the folder
`kling` of the system's folder of temporary files: a short path, since some pictures show it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_of_pictures import ROOT, DagRun, PictureAirflow
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from airflow_provider_kling.emulator import KlingEmulator

BUILD = Path(tempfile.gettempdir()) / "kling"
PICTURES = ROOT / "docs" / "pictures"
PHOTOS = BUILD / "images"
SCENES = ["squish", "expansion", "bloombloom", "jelly_press", "fuzzyfuzzy", "dollar_rain", "rocketrocket"]
LARGEST = 300_000  # bytes of a picture

UNTIL_ALL_PICTURES_ARE_THERE = """async () => {
    const seen = (element) => {
        const box = element.getBoundingClientRect();
        return box.height > 0 && box.top < innerHeight && box.bottom > 0;
    };
    const missing = () => [...document.querySelectorAll('.poster, .thumb')].some((one) => seen(one) && !one.querySelector('img'))
        || [...document.images].some((image) => seen(image) && !image.complete);
    for (let turn = 0; turn < 200 && missing(); turn += 1) await new Promise((resolve) => setTimeout(resolve, 100));
}"""


def many(rows: int) -> str:
    """A manifest in which every tenth row fails: in Kling's risk control, with a scene that has ended, or for lack of an image."""
    lines = []
    for number in range(rows):
        row = {"id": f"photo-{number:04}", "effect_scene": SCENES[number % len(SCENES)], "image": str(photo(number))}
        if number % 20 == 7:
            row["effect_scene"] = "pet_lion_pro"  # risky, for this account
        elif number % 40 == 13:
            row["effect_scene"] = "hug_pro"  # takes two images
        elif number % 40 == 33:
            row["image"] = f"https://example.com/risk-{number}.jpg"
        lines.append(json.dumps(row))
    return "\n".join(lines)


def photo(number: int) -> Path:
    return sorted(PHOTOS.glob("*.jpg"))[number % 3]


class Pictures:
    """The runs that are shown, and the browser that looks at them."""

    def __init__(self, airflow: PictureAirflow, kling: KlingEmulator, browser: Any, wanted: list[str]) -> None:
        self.airflow, self.kling, self.browser, self.wanted = airflow, kling, browser, wanted

    @contextlib.contextmanager
    def page(self, address: str, *, width: int = 1440, height: int = 900, dark: bool = False) -> Iterator[Page]:
        """A page of Airflow, when all that it shows is there."""
        mode: Any = "dark" if dark else "light"
        context = self.browser.new_context(
            base_url=self.airflow.url, viewport={"width": width, "height": height}, color_scheme=mode, reduced_motion="reduce"
        )
        context.set_default_timeout(60_000)
        context.add_cookies([{"name": "_token", "value": self.airflow.token(), "url": self.airflow.url}])
        page = context.new_page()
        page.goto(address)
        frame = page.main_frame if address.startswith("/kling/") else page.locator("iframe").element_handle().content_frame()
        frame.locator(".card:not(.skeleton), .lines tbody tr, .message").first.wait_for()
        frame.evaluate(UNTIL_ALL_PICTURES_ARE_THERE)
        page.wait_for_timeout(500)
        yield page
        context.close()

    def save(self, page: Page, name: str) -> None:
        """A picture of the page as it is, with as many colours as its size permits."""
        path = PICTURES / f"{name}.png"
        page.screenshot(path=path)
        image = Image.open(path).convert("RGB")
        for colours in (0, 256, 128, 64):
            shown = image.quantize(colours, dither=Image.Dither.FLOYDSTEINBERG) if colours else image
            shown.save(path, optimize=True)
            if path.stat().st_size < LARGEST:
                break
        print(f"{name}.png  {path.stat().st_size // 1000} kB", flush=True)

    def shoot(self, name: str, address: str, **options: Any) -> None:
        if not self.wanted or name in self.wanted:
            with self.page(address, **options) as page:
                self.save(page, name)

    def needs(self, *names: str) -> bool:
        return not self.wanted or any(name in self.wanted for name in names)


SIXTEEN = ("videos-tab", "videos-tab-dark", "videos-16-rows", "videos-phone")
OF_500 = ("videos-500-rows", "videos-details", "videos-failures", "videos-table-phone")
ALL_RUNS = ("kling-page", "kling-page-dark", "kling-page-phone")  # taken while a run goes on


def take(pictures: Pictures) -> None:
    run = pictures.airflow.run
    pictures.shoot("kling-page-empty", "/plugin/kling", height=600)
    if pictures.needs(*SIXTEEN):
        demo = {"manifest": str(BUILD / "manifest.csv"), "output": str(BUILD / "16")}
        sixteen = run("kling_effects_mapped", demo)
        pictures.shoot("videos-tab", sixteen.tab)
        pictures.shoot("videos-tab-dark", sixteen.tab, dark=True)
        pictures.shoot("videos-16-rows", sixteen.page, width=1280, height=1500)
        pictures.shoot("videos-phone", sixteen.page, width=390, height=844)
    if pictures.needs("videos-empty"):
        pictures.shoot("videos-empty", run("picture_without_kling", {}).tab, height=700)
    if pictures.needs(*OF_500):
        take_details(pictures, take_many(pictures, 500))
    if pictures.needs("videos-2000-rows"):
        take_many(pictures, 2000)
    if pictures.needs("videos-running", *ALL_RUNS):
        take_running(pictures)


def take_many(pictures: Pictures, rows: int) -> DagRun:
    pictures.kling.configure(slots=50, duration=0.5, jitter=0)
    manifest = BUILD / f"{rows}.jsonl"
    manifest.write_text(many(rows))
    done = pictures.airflow.run("kling_effects_batch", {"manifest": str(manifest), "output": str(BUILD / str(rows))})
    pictures.shoot(f"videos-{rows}-rows", done.page, width=1280, height=900)
    return done


def take_details(pictures: Pictures, run: DagRun) -> None:
    if pictures.needs("videos-details"):
        with pictures.page(run.page, width=1280, height=800) as page:
            page.locator(".others .thumb").first.click()
            page.wait_for_timeout(1500)
            page.locator("video").evaluate("(video) => { video.pause(); video.controls = false; }")
            pictures.save(page, "videos-details")
    if pictures.needs("videos-failures"):
        with pictures.page(run.page, width=1280, height=800) as page:
            page.locator("summary").first.click()
            page.wait_for_timeout(1000)
            pictures.save(page, "videos-failures")
    pictures.shoot("videos-table-phone", run.page, width=390, height=844)


def take_running(pictures: Pictures) -> None:
    pictures.kling.configure(slots=5, duration=3, jitter=0.5)
    manifest = BUILD / "running.jsonl"
    rows = [{"id": f"photo-{n:02}", "effect_scene": SCENES[n % 7], "image": str(photo(n))} for n in range(24)]
    manifest.write_text("\n".join(json.dumps(row) for row in rows))
    pictures.kling.fail_next("Failure to pass the risk control system", match="jelly_press", times=1)
    pictures.kling.plan(match="rocketrocket", never=True, times=None)
    with pictures.airflow.running("kling_effects_batch", {"manifest": str(manifest), "output": str(BUILD / "running")}) as run:
        with pictures.page(run.tab) as page:
            page.frame_locator("iframe").locator("[data-state=succeed].card").nth(7).wait_for(timeout=180_000)
            page.wait_for_timeout(1500)
            pictures.save(page, "videos-running")
        pictures.shoot("kling-page", "/plugin/kling", height=600)
        pictures.shoot("kling-page-dark", "/plugin/kling", height=600, dark=True)
        pictures.shoot("kling-page-phone", "/kling/runs", width=390, height=844)


def main(wanted: list[str]) -> None:
    shutil.rmtree(BUILD, ignore_errors=True)
    shutil.copytree(ROOT / "demo", BUILD)
    dags = BUILD / "dags"
    shutil.copytree(ROOT / "dags", dags)
    (dags / "picture_without_kling.py").write_text(WITHOUT_KLING)
    chromium = shutil.which("chromium") or sys.exit("Chromium is needed (on Debian: apt-get install chromium).")
    with (
        KlingEmulator.spawn(slots=8, duration=2, jitter=0.3, risky_scene=("pet_lion_pro",)) as kling,
        PictureAirflow(BUILD / "airflow", kling.connection(), dags) as airflow,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        take(Pictures(airflow, kling, browser, wanted))
        browser.close()


WITHOUT_KLING = '''"""A DAG that makes no videos."""

from airflow.sdk import dag, task


@dag(schedule=None)
def picture_without_kling():
    @task
    def clean_up():
        return None

    clean_up()


picture_without_kling()
'''


if __name__ == "__main__":
    main(sys.argv[1:])
