"""The plugin's pages in a browser, with made-up answers: filters, keyboard, updates, and all that can go wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from browser import needs_chromium
from browser_tabs import UNTIL_IT_PLAYS, Tab, flawless_tabs, shows
from made_up_runs import ADDRESS, STATES, VIDEO, MadeUpRuns, row

pytest.importorskip("playwright", reason="Playwright is not installed")
from playwright.sync_api import expect

expect.set_options(timeout=60_000)  # how fast a machine is at the moment, no test asks
pytestmark = needs_chromium

SCRIPT = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"


@pytest.fixture
def runs() -> Iterator[MadeUpRuns]:
    with MadeUpRuns() as started:
        yield started


@pytest.fixture
def page(runs, browser) -> Iterator[Any]:
    with flawless_tabs() as page_of:
        yield page_of(Tab(browser, runs.url))


@pytest.fixture
def complaining(runs, browser) -> Iterator[Any]:
    """A page in whose console Chromium writes each answer that is an error."""
    tab = Tab(browser, runs.url)
    yield tab.page
    tab.context.close()


def demo() -> list[dict[str, Any]]:
    good = [
        row(n, videos=[VIDEO], columns={"title": f"Picture {n}"}, effect_scene="squish" if n else "jelly_press") for n in range(5)
    ]
    about = {"reason": "Task …: risk control", "error_kind": "moderation"}
    risky = [
        row(n, state="failed", error=f"Task {9007199254740993000 + n}: risk control", units=None, **about) for n in range(5, 8)
    ]
    invalid = {"state": "invalid", "kling_task_id": None, "units": None}
    alone = [row(n, error=f"line {n + 1}, id 'row-{n}': found one image", reason="found one image", **invalid) for n in (8, 9)]
    return [*good, *risky, *alone, row(10, error="scene: it has ended", **{**invalid, "row_id": "<b>marked</b>"})]


def test_rows_are_filtered_searched_sorted_and_grouped(runs, page):
    runs.show(demo())
    page.goto(ADDRESS)
    groups = page.locator("details.group")
    shows(
        groups.locator("summary > *"), ["Failed", "moderation", "Task …: risk control", "× 3", "Invalid", "found one image", "× 2"]
    )
    assert groups.locator(".card").count() == 5
    page.get_by_role("button", name="Succeeded").click()
    shows(page.locator(".row-id"), ["row-0", "row-1", "row-2", "row-3", "row-4"])
    page.get_by_label("Scene", exact=True).select_option("jelly_press")
    shows(page.locator(".row-id"), ["row-0"])
    page.reload()
    page.locator(".card").wait_for()
    shows(page.locator(".row-id"), ["row-0"])
    page.get_by_role("button", name="All").click()
    page.get_by_label("Scene", exact=True).select_option("")
    page.locator("body").press("/")
    page.keyboard.type("picture 3")
    expect(page.locator(".card")).to_have_count(1)
    shows(page.locator(".row-id"), ["row-3"])
    page.keyboard.type(" nowhere")
    page.get_by_role("button", name="Show all rows").click()
    assert page.locator(".card").count() == 11
    page.get_by_label("Order", exact=True).select_option("row")
    shows(page.locator(".row-id"), ["<b>marked</b>", "row-0"], whole=False)
    page.get_by_role("button", name="Table").click()
    assert page.get_by_role("row").count() == 12
    assert page.get_by_role("columnheader").first.inner_text() == "State"


def test_the_kind_of_an_error_and_the_refused_image_are_shown(runs, page):
    images = [{"name": f"{side}.jpg", "src": None} for side in ("left", "right")]
    about = {"state": "failed", "error": "Kling task 1 failed: risk control.", "error_kind": "moderation", "refused_image": 2}
    runs.show([row(1, images=images, reason="risk control", **about), row(2, images=images)])
    page.goto(ADDRESS)
    shows(page.locator("#k1 .kind"), ["moderation"])
    shows(page.locator(".refused"), ["Input image\nright.jpg\nRefused"])
    page.get_by_role("searchbox").fill("moderation")
    shows(page.locator(".row-id"), ["row-1"])
    page.get_by_role("button", name="Details of row row-1").click()
    page.get_by_role("dialog").get_by_text("image 2 of 2").wait_for()


def test_an_error_that_is_html_is_a_text(runs, page):
    runs.show([row(1, state="failed", error=SCRIPT, row_id=SCRIPT), row(2, columns={SCRIPT: SCRIPT}, effect_scene=SCRIPT)])
    page.goto(ADDRESS)
    page.get_by_role("paragraph").get_by_text(SCRIPT).first.wait_for()
    page.get_by_role("button", name="Details of row row-2").click()
    page.get_by_role("dialog").get_by_text(SCRIPT).first.wait_for()
    assert page.title() == "Videos"


def test_an_address_of_a_script_is_no_link(runs, page):
    evil = "javascript:document.title='taken'"
    video = {**VIDEO, "src": None, "kling": evil}
    runs.show([row(1, ui=evil, images=[{"name": "a", "src": evil}], videos=[video])], report=evil, results=evil)
    page.goto(ADDRESS)
    page.locator("#k1").wait_for()
    assert page.locator("[href^=javascript], [src^=javascript]").count() == 0


def test_a_run_id_with_a_plus_is_asked_for_as_it_is(runs, page):
    runs.show([row(1)])
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/kling/videos?dag_id=d&run_id=manual__2026-11-26T03:00:00+00:00&task_id=batch&map_index={MAP_INDEX}")
    page.get_by_role("searchbox").fill("row 1")
    page.wait_for_url("**&q=row%201")
    page.reload()
    page.locator("#k1").wait_for()
    rows = [url.split("/rows?")[1] for url in asked if "/rows?" in url]
    assert set(rows) == {"run_id=manual__2026-11-26T03%3A00%3A00%2B00%3A00&task_id=batch"}


def test_two_thousand_rows_are_a_table_with_exact_ids(runs, page):
    failed = {"state": "failed", "error": "Image 4711 is too small"}
    runs.show(row(n, **(failed if n % 100 == 0 else {})) for n in range(2000))
    page.goto(ADDRESS)
    shows(page.locator("summary .number"), ["× 20"])
    expect(page.locator(".others tbody tr")).to_have_count(1980)
    assert page.locator("details.group tbody tr").count() == 0  # until it is opened
    page.locator("summary").click()
    expect(page.locator("details.group tbody tr")).to_have_count(20)
    assert page.locator("#k1 code").inner_text() == "9007199254740993001"


def test_the_exact_kling_id_is_copied(runs, page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=runs.url)
    runs.show([row(444)])
    page.goto(ADDRESS)
    page.get_by_role("button", name="Copy Kling id 9007199254740993444").click()
    page.get_by_role("status").get_by_text("Copied Kling id 9007199254740993444").wait_for(state="attached")
    assert page.evaluate("navigator.clipboard.readText()") == "9007199254740993444"


def test_the_keyboard_alone_is_enough(runs, page):
    runs.show(demo())
    page.goto(f"{ADDRESS}&state=succeed")
    page.get_by_role("button", name="Details of row row-0").press("Enter")
    page.get_by_role("dialog", name="row-0").get_by_text("Picture 0").wait_for()
    page.keyboard.press("ArrowRight")
    page.get_by_role("dialog", name="row-1").wait_for()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Details of row row-0"
    page.get_by_role("button", name=re.compile("Play the video of row row-0")).press("Enter")
    expect(page.locator("video")).to_be_focused()
    page.locator("video").evaluate(UNTIL_IT_PLAYS)


def test_a_row_has_an_anchor(runs, page):
    runs.show(demo())
    page.goto(f"{ADDRESS}&state=succeed#k7")
    page.locator("#k7.aimed").wait_for()
    assert page.locator("#k7").evaluate("(card) => document.activeElement === card")
    assert page.get_by_role("link", name="row-7", exact=True).get_attribute("href") == "#k7"


def test_a_playing_video_an_open_group_and_the_focus_outlive_an_answer(runs, page):
    failed = [row(number, state="failed", error="Too small") for number in range(10, 20)]
    runs.show([row(1, videos=[VIDEO]), *failed, row(3, state="running")], final=False)
    page.clock.install()
    page.goto(ADDRESS)
    page.locator("summary").click()
    page.get_by_role("button", name=re.compile("Play the video of row row-1")).click()
    page.locator("video").evaluate("(video) => { video.loop = true; window.before = video; }")
    page.get_by_role("searchbox").focus()
    runs.show([row(0), row(3, state="failed", error="Other"), *failed, row(1, videos=[VIDEO])], final=False)
    page.clock.run_for(6000)
    page.locator("#k0").wait_for()
    assert page.locator("video").evaluate("(video) => video === window.before && !video.paused")
    assert page.locator("details.group").get_attribute("open") is not None
    assert page.evaluate("document.activeElement.type") == "search"
    shows(page.locator(".others .row-id"), ["row-0", "row-1"])


def test_a_lost_connection_is_said_and_what_was_there_stays(runs, complaining):
    page = complaining
    runs.show([row(1), row(2, state="running")], final=False)
    page.clock.install()
    page.goto(ADDRESS)
    page.locator("#k1").wait_for()
    page.route("**/rows?*", lambda route: route.abort())
    page.clock.run_for(6000)
    page.get_by_text("The server cannot be reached").wait_for()
    assert page.locator("#k1").is_visible()
    page.unroute("**/rows?*")
    page.clock.run_for(30_000)
    page.get_by_text("The server cannot be reached").wait_for(state="hidden")


def test_a_right_that_is_lost_takes_the_rows_along(runs, complaining):
    page = complaining
    runs.show([row(1, state="running")], final=False)
    page.clock.install()
    page.goto(ADDRESS)
    page.locator("#k1").wait_for()
    runs.answers["api/dags/d/rows"] = (403, {"detail": "Forbidden"})
    page.clock.run_for(6000)
    page.get_by_role("heading", name="You may not see these videos").wait_for()
    assert "row-1" not in page.content()


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "You are not logged in"),
        (403, "You may not see these videos"),
        (404, "There is no such run"),
        (502, "The server has an error"),
    ],
)
def test_each_refusal_is_a_sentence(runs, complaining, status, sentence):
    runs.answers["api/dags/d/rows"] = (status, {"detail": "Why."})
    complaining.goto(ADDRESS)
    complaining.get_by_role("heading", name=sentence).wait_for()


@pytest.mark.parametrize(("final", "sentence"), [(True, "No videos"), (False, "Nothing here yet")])
def test_a_run_without_rows_is_a_sentence(runs, page, final, sentence):
    runs.show([], final=final, notes=["The API server cannot read s3://results."])
    page.goto(ADDRESS)
    page.get_by_role("heading", name=sentence).wait_for()
    page.get_by_text("cannot read s3://results").wait_for()


def test_a_video_that_is_not_saved_offers_klings_link(runs, page):
    video = {**VIDEO, "name": None, "src": None, "kling": "api/clip", "expires_at": "2099-12-26T03:00:00Z"}
    runs.show([row(1, videos=[video])])
    page.goto(ADDRESS)
    assert page.get_by_role("link", name="works until 26 Dec 2099").get_attribute("href") == "api/clip"
    page.get_by_role("button", name="Play the video of row row-1 from Kling").click()
    page.locator("video").evaluate(UNTIL_IT_PLAYS)


def test_a_file_that_cannot_be_read_says_why_and_offers_klings_link(runs, complaining):
    sentence = "The API server cannot read s3://results/a.mp4."
    runs.answers["api/lost"] = (502, {"detail": sentence})
    runs.show([row(1, videos=[{**VIDEO, "src": "api/lost", "kling": "api/clip"}])])
    complaining.goto(ADDRESS)
    complaining.get_by_text(sentence).wait_for()
    complaining.get_by_role("button", name="Play the video of row row-1 from Kling").wait_for()


def test_dark_as_airflow_is_and_no_horizontal_scrollbar_on_a_phone(runs, browser):
    runs.show([row(1, videos=[VIDEO], row_id="x" * 200), row(2, state="failed", error="y" * 500, effect_scene="z" * 80)])
    with flawless_tabs() as page_of:
        page = page_of(Tab(browser, runs.url, viewport={"width": 390, "height": 844}, color_scheme="dark"))
        for view in ("cards", "table"):
            page.goto(f"{ADDRESS}&view={view}")
            page.locator("#k2").wait_for()
            assert page.evaluate("document.documentElement.classList.contains('dark')")
            assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.evaluate("localStorage.setItem('theme', 'light')")  # where Airflow's UI keeps its user's choice
        page.reload()
        assert not page.evaluate("document.documentElement.classList.contains('dark')")


CONTRASTS = """(pairs) => {
    const context = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const style = getComputedStyle(document.documentElement);
    const luminance = (name) => {
        context.fillStyle = style.getPropertyValue('--' + name);
        context.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((part) => part / 255)
            .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    return pairs.map(([text, ground]) => {
        const [dark, light] = [luminance(text), luminance(ground)].sort((a, b) => a - b);
        return (light + 0.05) / (dark + 0.05);
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_colours_of_texts_can_be_read(runs, browser, scheme):
    grounds = ("bg", "bg-subtle", "bg-muted", "bg-strong")
    pairs = [(text, ground) for text in ("fg", "fg-muted") for ground in grounds] + [("link", "bg"), ("link", "bg-subtle")]
    pairs += [(f"{state}-fg", ground) for state in STATES for ground in (f"{state}-bg", "bg", "bg-subtle")]
    with flawless_tabs() as page_of:
        page = page_of(Tab(browser, runs.url, color_scheme=scheme))
        runs.show([row(1)])
        page.goto(ADDRESS)
        contrasts = dict(zip(pairs, page.evaluate(CONTRASTS, pairs), strict=True))
    assert {pair: contrast for pair, contrast in contrasts.items() if contrast < 4.5} == {}


def test_no_runs_say_how_to_start(runs, page):
    runs.answers["api/runs"] = {"runs": [], "slots": [], "as_of": "2026-11-26T03:10:00Z"}
    page.goto("/kling/runs")
    page.get_by_role("heading", name="No run has used Kling yet").wait_for()
