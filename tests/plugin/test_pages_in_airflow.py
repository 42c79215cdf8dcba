"""The plugin's pages as users see them: in Airflow's UI, from a real API server, in Debian's Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from browser import needs_chromium
from browser_tabs import Tab, flawless_tabs, shows
from places import PHOTOS
from plugin_server import Instance, write_run, xcom_table

pytest.importorskip("playwright", reason="Playwright is not installed")
pytestmark = needs_chromium

DAG_ID = "kling_whole"
RUN_ID = "manual__2026-11-26T03:00:00+00:00"
LIVE = "manual__2026-11-26T04:00:00+00:00"
PAGE = f"/kling/videos?dag_id={DAG_ID}&run_id="
IDS = [f"17956295805340044{number}" for number in range(6)]  # no numbers of JavaScript


def result(number: int, path: Any = None, **changes: Any) -> dict[str, Any]:
    video = {"id": "v", "url": "https://example.com/v.mp4", "duration": 2.0, "expires_at": None, "path": path and str(path)}
    return {
        "row_id": f"row-{number}",
        "kling_task_id": IDS[number],
        "external_task_id": "e",
        "effect_scene": "squish",
        "status": "succeed",
        "message": "",
        "videos": [video] if path else [],
        "units": "2.5",
        "created_at": None,
        "updated_at": None,
        **changes,
    }


def failed(number: int) -> dict[str, Any]:
    return result(number, status="failed", message="Failure to pass the risk control system", units=None)


@pytest.fixture(scope="module")
def run(server, clip, tmp_path_factory) -> str:
    """A run that is over: three videos, two failures with one reason."""
    folder = tmp_path_factory.mktemp("videos")
    rows = []
    for number in range(3):
        path = folder / f"{IDS[number]}.mp4"
        path.write_bytes(clip)
        rows.append(Instance(task_id="make", map_index=number, xcoms={"return_value": result(number, path)}, rendered=images()))
    for number in (3, 4):
        one = {"failed_result": failed(number)}
        rows.append(Instance(task_id="make", map_index=number, state="failed", xcoms=one, rendered=images()))
    write_run(DAG_ID, RUN_ID, rows)
    return RUN_ID


def images() -> dict[str, Any]:
    return {"image": str(PHOTOS / "china.jpg")}


@pytest.fixture
def page(server, browser) -> Iterator[Any]:
    with flawless_tabs() as page_of:
        yield page_of(Tab(browser, server.url, server.token("reader"), viewport={"width": 1440, "height": 1000}))


def test_from_the_page_of_all_runs_to_a_video_and_its_task_instance(page, run):
    """Through Airflow's UI, in its frames, as users come to it."""
    pieces = []
    page.on("response", lambda response: pieces.append(response.status) if "/video?" in response.url else None)
    page.goto("/plugin/kling")
    line = page.frame_locator("iframe").get_by_role("row").filter(has_text=run)
    line.wait_for()
    for words in ("3 videos", "2 failed"):
        assert words in line.inner_text()
    line.get_by_role("link", name=run, exact=True).click()
    page.wait_for_url("**/plugin/kling-videos")

    frame = page.frame_locator("iframe")
    frame.locator(".card").first.wait_for()
    shows(frame.locator(".numbers > div"), ["Rows\n5", "Videos\n3", "Failures\n2"], whole=False)
    shows(
        frame.locator("summary > *"),
        ["moderation", "The Kling task failed: Failure to pass the risk control system.", "× 2"],
        start=1,
        whole=False,
    )
    frame.get_by_role("button", name="Succeeded").click()
    frame.get_by_role("searchbox").fill("row-1")
    frame.locator(".others .row-id").nth(1).wait_for(state="detached")
    assert frame.locator("img.frame").get_attribute("src").startswith("data:image/jpeg")
    assert frame.locator(".before img").evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 300
    assert frame.locator(".copyable code").inner_text() == IDS[1]

    frame.get_by_role("button", name=re.compile("Play the video of row row-1")).click()
    moved = frame.locator("video").evaluate(
        """async (video) => {
            await new Promise((resolve) => video.addEventListener('timeupdate', resolve, {once: true}));
            video.pause();
            const seeked = new Promise((resolve) => video.addEventListener('seeked', resolve, {once: true}));
            video.currentTime = video.duration / 2;
            await seeked;
            return [video.currentTime / video.duration, video.error];
        }"""
    )
    assert moved == [0.5, None]
    assert 206 in pieces

    page.evaluate("document.documentElement.classList.add('dark')")  # what the switch of Airflow's UI does
    frame.locator("html.dark").wait_for(state="attached")
    frame.get_by_role("link", name="Task instance make [1] of row row-1").click()
    page.wait_for_url("**/tasks/make/mapped/1")


def test_a_run_that_goes_on_until_it_is_final(page, server):
    created = {"kling_task": {"kling_task_id": IDS[5], "external_task_id": "e"}}
    write_run(DAG_ID, LIVE, [Instance(task_id="make", map_index=0, state="deferred", xcoms=created)], state="running")
    page.goto(PAGE + LIVE)
    page.locator(".card[data-state=running]").wait_for()
    assert "Live" in page.locator(".updated").inner_text()
    end(LIVE, failed(5))
    page.locator(".card[data-state=failed]").wait_for()
    page.locator(".updated").get_by_text("Final").wait_for()


def end(run_id: str, left: dict[str, Any]) -> None:
    """End a run of one task instance, which has failed."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select, update

    with create_session() as session:
        for table in (TaskInstance, DagRun):
            session.execute(update(table).where(table.run_id == run_id).values(state="failed"))
        xcoms = xcom_table()
        instances = select(TaskInstance.id).where(TaskInstance.run_id == run_id)
        owned = xcoms.task_instance_id.in_(instances) if hasattr(xcoms, "task_instance_id") else xcoms.run_id == run_id
        session.execute(update(xcoms).where(owned).values(key="failed_result", value=left))


@pytest.mark.parametrize(("user", "refused"), [("stranger", ("rows", 403)), (None, ("videos", 401))])
def test_nothing_is_shown_to_those_who_may_not_see_it(server, browser, run, user, refused):
    tab = Tab(browser, server.url, user and server.token(user))
    answers = []
    tab.page.on("response", lambda response: answers.append((response.url.split("?")[0].split("/")[-1], response.status)))
    tab.page.goto(PAGE + run)
    if user:
        tab.page.get_by_role("heading", name="You may not see these videos").wait_for()
    assert refused in answers
    assert not re.search("row-|squish|1795629", tab.page.content())
    tab.context.close()


def test_a_run_that_is_not_there(server, browser):
    tab = Tab(browser, server.url, server.token("reader"))
    tab.page.goto(f"{PAGE}gone")
    tab.page.get_by_role("heading", name="There is no such run").wait_for()
    tab.context.close()
