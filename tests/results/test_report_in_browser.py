"""The report in Chromium, opened from a disk: with its script, without it, and on paper."""

from __future__ import annotations

import importlib.resources
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import needs_chromium
from places import PHOTOS
from report_pages import failed, line, video

from airflow_provider_kling.results import write_lines

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = needs_chromium

RISK = "Kling task 17956648966020{:04d} failed: Failure to pass the risk control system."
LOST = "net::ERR_FILE_NOT_FOUND"  # what the browser says of a file that is not there
Open = Callable[..., "Page"]


@pytest.fixture
def show(browser, tmp_path) -> Iterator[Open]:
    """Writes a report and opens it. Whatever it does, it loads no file but its own, and logs no error."""
    problems: list[str] = []
    contexts = []

    def show(lines: list[dict[str, Any]], *, hash: str = "", **options: Any) -> Page:
        write_lines(lines, tmp_path / "out", title="m.csv", manifest=tmp_path / "in" / "m.csv", log_problems=False)
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 900}, **options))
        contexts[-1].set_default_timeout(60_000)  # ms
        page = contexts[-1].new_page()
        page.on("console", lambda message: LOST in message.text or problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: request.url.startswith(tmp_path.as_uri()) or problems.append(request.url))
        page.goto((tmp_path / "out" / "report.html").as_uri() + hash)
        return page

    (tmp_path / "in").mkdir()
    (tmp_path / "out" / "videos").mkdir(parents=True)
    shutil.copy(PHOTOS / "flower.jpg", tmp_path / "in" / "flower.jpg")
    clip = importlib.resources.files("airflow_provider_kling.emulator.videos").joinpath("clip.mp4")
    (tmp_path / "out" / "videos" / "clip.mp4").write_bytes(clip.read_bytes())
    yield show
    for context in contexts:
        context.close()
    assert problems == []


def good(number: int, folder: Path, **facts: Any) -> dict[str, Any]:
    saved = {"videos": [video(str(folder / "out" / "videos" / "clip.mp4"), url="")]}
    return line(**{"id": f"good-{number:04d}", "image": "flower.jpg", "kling_task_id": str(10**18 + number), **saved, **facts})


def risky(number: int) -> dict[str, Any]:
    return failed(RISK.format(number), id=f"bad-{number:04d}", image="flower.jpg", kling_task_id=f"17956648966020{number:04d}")


def visible(page: Page) -> list[str]:
    """The ids of the rows on the screen, in their order."""
    rows = "[...document.querySelectorAll('.row')].filter((row) => row.checkVisibility())"
    return page.evaluate(f"{rows}.map((row) => row.cells[2].textContent.trim())")


def test_before_and_after_of_a_few_rows_as_cards(show, tmp_path):
    page = show([good(1, tmp_path), risky(2), good(3, tmp_path)])
    assert visible(page) == ["bad-0002", "good-0001", "good-0003"]
    assert page.locator("#view-cards").is_checked()
    page.wait_for_selector("#row-good-0003 .poster canvas")
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    picture = page.locator("#row-good-0001 .before img").bounding_box()
    poster = page.locator("#row-good-0001 .after canvas").bounding_box()
    assert picture["x"] + picture["width"] <= poster["x"]
    assert abs(picture["y"] - poster["y"]) < 2
    page.click("#row-good-0001 .poster")
    page.locator("#row-good-0001 video[controls]").evaluate(
        "(video) => video.readyState >= 2 || new Promise((done) => { video.onloadeddata = done; })"
    )
    assert page.locator("video").count() == 1


def test_a_video_that_cannot_be_loaded_and_a_lost_image_leave_their_names(show, tmp_path):
    page = show([good(1, tmp_path, image="lost.jpg", videos=[video(str(tmp_path / "out" / "videos" / "gone.mp4"), url="")])])
    page.wait_for_selector(".poster.missing")
    page.wait_for_selector(".before .missing")
    assert "lost.jpg" in page.locator("td.before").inner_text()
    assert "gone.mp4" in page.locator("td.after").inner_text()


@pytest.fixture
def many(tmp_path) -> list[dict[str, Any]]:
    scenes = ("squish", "expansion", "hug_pro")
    rows = [good(n, tmp_path, effect_scene=scenes[n % 3], units=str(n % 7)) for n in range(1, 181)]
    return [*rows, *map(risky, range(181, 201))]


def test_a_table_of_many_rows_with_search_filters_order_and_pages(show, many):
    page = show(many)
    assert page.locator("#view-table").is_checked()
    group = " ".join(page.locator(".group:visible").first.inner_text().split())
    assert group == "failed 20 rows Kling task … failed: Failure to pass the risk control system."
    assert visible(page)[0] == "good-0001"  # twenty equal errors are one line, which opens
    assert len(visible(page)) == 99
    assert page.inner_text("#count") == "200 of 200 rows"
    page.click("#later")
    assert visible(page)[-1] == "good-0180"
    assert page.locator("#later").is_disabled()
    page.click("#earlier")
    page.click(".group button >> nth=0")
    assert visible(page)[:20] == [f"bad-{n:04d}" for n in range(181, 201)]

    page.fill("#search", "bad-019 risk")
    assert visible(page) == [f"bad-{n:04d}" for n in range(190, 200)]
    page.fill("#search", "no such row")
    assert page.locator("#empty").is_visible()
    page.fill("#search", "")
    page.select_option("#scene", "hug_pro")
    assert page.inner_text("#count") == "60 of 200 rows"
    page.check("#only-failed", force=True)
    assert page.locator("#empty").is_visible()
    page.select_option("#scene", "")
    assert len(visible(page)) == 20

    page.check("#only-all", force=True)
    page.click("th[data-sort=id] button")
    assert visible(page)[0] == "bad-0181"
    page.click("th[data-sort=id] button")
    assert visible(page)[0] == "good-0180"
    assert page.get_attribute("th[data-sort=id]", "aria-sort") == "descending"
    page.select_option("#sort", "number")
    assert visible(page)[0] == "good-0001"
    page.select_option("#sort", "")
    assert page.locator(".group:visible").count() == 2


def test_a_row_opens_by_its_anchor_wherever_it_is(show, many):
    page = show(many, hash="#row-good-0150")
    assert page.locator("#row-good-0150").is_visible()
    assert "1000000000000000150" in page.locator("#row-good-0150 .facts").text_content()
    page.wait_for_selector("#row-good-0150 .poster canvas")
    page.check("#only-failed", force=True)
    page.evaluate("location.hash = '#row-bad-0185'")
    page.wait_for_selector("#row-bad-0185.open")
    page.evaluate("location.hash = '#row-good-0007'")  # which the filter hides
    page.wait_for_selector("#row-good-0007.open")
    page.click("#row-good-0007 td.id a")
    assert not page.locator("#row-good-0007 .facts").is_visible()
    page.keyboard.press("Enter")
    assert page.locator("#row-good-0007 .facts").is_visible()
    page.evaluate("location.hash = '%zz'")
    assert page.locator("#row-good-0007").is_visible()


def test_without_its_script_all_can_be_read_and_filtered(show, many):
    page = show(many, java_script_enabled=False)
    assert len(visible(page)) == 200
    assert not page.locator("#tools").is_visible()
    page.click("label:has(#view-cards)")
    assert page.locator("#row-good-0150 .facts").is_visible()
    assert "1000000000000000150" in page.locator("#row-good-0150 .facts").text_content()
    assert page.locator("#row-good-0150 video[controls]").get_attribute("src") == "videos/clip.mp4"
    page.click("label:has(#only-failed)")
    assert visible(page) == [f"bad-{n:04d}" for n in range(181, 201)]
    page.click("label:has(#view-table)")
    page.click("#row-bad-0190 td.id a")
    assert page.locator("#row-bad-0190 .facts").is_visible()
    assert "179566489660200190" in page.locator("#row-bad-0190 .facts").text_content()


def test_paper_has_all_rows_and_no_controls(show, many):
    page = show(many[110:], color_scheme="dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(media="print", color_scheme="dark")
    assert len(visible(page)) == 90
    assert not any(page.locator(each).is_visible() for each in (".bar", "#pages", "#count"))
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)" != dark
    pages = len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))
    assert pages > 1
    page.emulate_media(media="screen")
    page.fill("#search", "bad")
    page.emulate_media(media="print")
    assert len(visible(page)) == 20


@pytest.mark.parametrize("view", ["cards", "table"])
@pytest.mark.parametrize("width", [390, 820, 1280])
def test_no_width_needs_scrolling_to_the_side(show, tmp_path, width, view):
    long = good(1, tmp_path, id="x" * 190, effect_scene="y" * 90, note="z" * 290, external_task_id="airflow-" + "f" * 40)
    page = show([long, failed("w" * 500, id="bad", image="s3://bucket/" + "v" * 200)])
    page.set_viewport_size({"width": width, "height": 844})
    page.check(f"#view-{view}", force=True)
    for state in ("", "document.querySelectorAll('.row').forEach((row) => row.classList.add('open'))"):
        page.evaluate(state or "0")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        heights = page.locator(".code").evaluate_all("(ids) => ids.filter((id) => id.offsetHeight > 24).length")
        assert heights == 0  # an id is on one line


NASTY = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "'-alert(1)-'",
    "</style><b>",
    "{{7*7}}",
)


@pytest.mark.parametrize("script", [True, False])
def test_hostile_values_run_nothing(show, tmp_path, script):
    dialogs = []
    rows = []
    for number, text in enumerate(NASTY):
        ids = {"id": f"{number}{text}", "kling_task_id": text, "external_task_id": text, "effect_scene": text}
        rows.append(good(number, tmp_path, **ids, note=text, **{text: text}, image=f"{text}.jpg"))
        rows.append(failed(text, **ids, videos=[video(f"/x/{text}", url=text)]) | {"id": f"bad {number}{text}"})
    page = show(rows, java_script_enabled=script)
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.locator("td.id a").evaluate_all("(links) => links.forEach((link) => link.click())")
    if script:
        page.select_option("#scene", index=1)
        page.fill("#search", NASTY[0])
    page.wait_for_load_state("networkidle")
    assert dialogs == []
    hrefs = page.locator("a").evaluate_all("(links) => links.map((link) => link.protocol)") if script else ["file:"]
    assert set(hrefs) == {"file:"}


def test_two_thousand_rows(show, tmp_path):
    rows = [good(n, tmp_path) if n % 10 else risky(n) for n in range(1, 2001)]
    page = show(rows, hash="#row-good-1901")
    page.wait_for_selector("#row-good-1901 .poster canvas")
    assert page.inner_text("#count") == "2,000 of 2,000 rows"
    assert len(visible(page)) <= 100
    assert page.evaluate("document.documentElement.scrollHeight") <= 10 * 1080
    page.fill("#search", str(10**18 + 777))
    assert visible(page) == ["good-0777"]


def test_runs_fold_and_lead_to_their_own_report(show, tmp_path, browser):
    for day in ("2026-11-20", "2026-11-21"):
        write_lines([good(n, tmp_path) for n in range(5)], tmp_path / "out" / day, title=day, log_problems=False)
    lines = [
        {"run": path.parent.name, **json.loads(text)}
        for path in sorted((tmp_path / "out").glob("*/results.jsonl"))
        for text in path.read_text().splitlines()
    ]
    write_lines(lines, tmp_path / "out", title="All runs", by_run=True, log_problems=False)
    page = browser.new_page()
    page.goto((tmp_path / "out" / "report.html").as_uri())
    assert len(visible(page)) == 5  # those of the latest run
    page.click(".group button >> nth=1")
    assert len(visible(page)) == 10
    page.click(".group a >> nth=1")
    assert page.title().startswith("2026-11-20")
    page.close()
