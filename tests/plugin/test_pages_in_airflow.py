"""The plugin's pages as users see them: a real API server, DAG runs against the emulator, Debian's Chromium."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from browser_tabs import Tab, chromium, flawless_tabs, needs_chromium, texts
from places import PHOTOS
from ui_airflow import READER, STRANGER, UiAirflow, UiRun

from airflow_provider_kling.emulator import KlingEmulator

pytestmark = needs_chromium

GOOD = 3


class Ui(NamedTuple):
    """An Airflow with a run that is over, a user who may see it and one who may not."""

    airflow: UiAirflow
    kling: KlingEmulator
    run: UiRun
    folder: Path
    tokens: dict[str, str]

    def slow_run(self) -> AbstractContextManager[UiRun]:
        """A run that goes on until the emulator's tasks are ended by hand."""
        self.kling.plan(match="bloombloom", never=True, times=None)
        rows = [{"id": f"slow-{number}", "effect_scene": "bloombloom", "image": str(PHOTOS / "flower.jpg")} for number in range(2)]
        conf = {"manifest": manifest(self.folder / "slow.jsonl", rows), "output": str(self.folder / "slow")}
        return self.airflow.running("kling_effects_batch", conf)


def manifest(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def ui(tmp_path_factory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("pages")
    photo = str(PHOTOS / "china.jpg")
    rows = [{"id": f"good-{number}", "effect_scene": "squish", "image": photo} for number in range(GOOD)]
    rows += [
        {"id": f"risky-{number}", "effect_scene": "squish", "image": f"https://example.com/risk{number}.jpg"} for number in (1, 2)
    ]
    rows += [{"id": "alone", "effect_scene": "hug_pro", "image": photo}]
    with KlingEmulator.spawn(duration=0.2, slots=20) as kling:
        airflow = UiAirflow(folder / "airflow", kling.connection())
        airflow.migrate()
        with ThreadPoolExecutor() as threads, airflow:
            conf = {"manifest": manifest(folder / "manifest.jsonl", rows), "output": str(folder / "out")}
            run = threads.submit(airflow.run, "kling_effects_batch", conf)
            airflow.wait_until_up()
            tokens = {user: airflow.token(user) for user in (READER, STRANGER)}
            yield Ui(airflow, kling, run.result(), folder, tokens)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(ui, browser) -> Iterator[Any]:
    with flawless_tabs() as page_of:
        yield page_of(Tab(browser, ui.airflow.url, ui.tokens[READER], viewport={"width": 1440, "height": 1000}))


def test_from_the_page_of_all_runs_to_a_video_and_its_task_instance(ui, page):
    """Through Airflow's UI, in its frames, as users come to it."""
    pieces = []
    page.on("response", lambda response: pieces.append(response.status) if "/video?" in response.url else None)
    page.goto("/plugin/kling")
    line = page.frame_locator("iframe").get_by_role("row").filter(has_text=ui.run.run_id)
    line.wait_for()
    for words in (f"{GOOD} videos", "2 failed", "1 invalid"):
        assert words in line.inner_text()
    line.get_by_role("link", name=ui.run.run_id).click()
    page.wait_for_url("**/plugin/kling-videos")

    frame = page.frame_locator("iframe")
    frame.locator(".card").first.wait_for()
    assert texts(frame.locator(".numbers > div"))[:3] == ["6\nRows", f"{GOOD}\nVideos", "3\nFailures"]
    assert texts(frame.locator("summary .number")) == ["× 2"]
    frame.get_by_role("button", name="Succeeded").click()
    frame.get_by_role("searchbox").fill("good-1")
    frame.locator(".row-id").nth(1).wait_for(state="detached")
    assert frame.locator("img.frame").get_attribute("src").startswith("data:image/jpeg")

    frame.get_by_role("button", name=re.compile("Play the video of row good-1")).click()
    moved = frame.locator("video").evaluate(
        """async (video) => {
            await new Promise((resolve) => video.addEventListener('timeupdate', resolve, {once: true}));
            video.pause();
            const seeked = new Promise((resolve) => video.addEventListener('seeked', resolve, {once: true}));
            video.currentTime = 1.2;
            await seeked;
            return [video.currentTime, video.duration, video.error];
        }"""
    )
    assert moved == [1.2, pytest.approx(2, abs=0.2), None]
    assert 206 in pieces

    page.evaluate("document.documentElement.classList.add('dark')")  # what the switch of Airflow's UI does
    frame.locator("html.dark").wait_for(state="attached")
    frame.get_by_role("link", name="Task instance batch of row good-1").click()
    page.wait_for_url(re.compile(r"/runs/[^/]+/tasks/batch"))


def test_the_kling_id_is_the_one_of_the_account(ui, page):
    page.goto(f"{ui.run.page}&q=good-0")
    shown = page.locator(".copyable code").inner_text()
    assert shown in {task["kling_task_id"] for task in ui.kling.ledger}
    assert int(shown) > 2**53  # a number of JavaScript would be another one


def test_a_run_that_goes_on_until_it_is_final(ui, page):
    with ui.slow_run() as run:
        page.goto(run.page)
        page.locator(".card[data-state=running]").nth(1).wait_for()
        assert "Live" in page.locator(".updated").inner_text()
        ui.kling.finish()
        page.locator(".card[data-state=succeed]").nth(1).wait_for()
        page.locator(".updated").get_by_text("Final").wait_for()


@pytest.mark.parametrize(("user", "refused"), [(STRANGER, ("rows", 403)), (None, ("videos", 401))])
def test_nothing_is_shown_to_those_who_may_not_see_it(ui, browser, user, refused):
    tab = Tab(browser, ui.airflow.url, user and ui.tokens[user])
    answers = []
    tab.page.on("response", lambda response: answers.append((response.url.split("?")[0].split("/")[-1], response.status)))
    tab.page.goto(ui.run.page)
    if user:
        tab.page.get_by_role("heading", name="You may not see these videos").wait_for()
    assert refused in answers
    assert not re.search("good-|squish|risky", tab.page.content())
    tab.context.close()


def test_a_run_and_a_row_that_are_not_there(ui, browser):
    tab = Tab(browser, ui.airflow.url, ui.tokens[READER])
    tab.page.goto(f"/kling/videos?dag_id={ui.run.dag_id}&run_id=gone")
    tab.page.get_by_role("heading", name="There is no such run").wait_for()
    for name in ("video", "image", "link"):
        address = f"/kling/api/dags/{ui.run.dag_id}/{name}?{ui.run.query}&key=unknown&index=0"
        assert tab.page.request.get(address).status == 404
    tab.context.close()
