"""The report in Chromium: how long it takes until it can be used, how tall it is, and pictures of it for the docs.

`python benchmarks/report.py` measures reports of 16, 500 and 2,000 rows; `--pictures` takes the pictures in docs/pictures, too.
The videos are made by an emulator from the photographs of the demo. Needs Debian's chromium. All files are in build/report.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import machine
import paths
from PIL import Image

BUILD = paths.ROOT / "build" / "report"
os.environ.setdefault("AIRFLOW_HOME", str(BUILD / "airflow"))
os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")
from browser import chromium  # noqa: E402

from airflow_provider_kling.api import EffectRequest  # noqa: E402
from airflow_provider_kling.emulator import KlingEmulator  # noqa: E402
from airflow_provider_kling.hooks import KlingHook  # noqa: E402
from airflow_provider_kling.manifests import load_image  # noqa: E402
from airflow_provider_kling.results import render_report, result_of  # noqa: E402
from airflow_provider_kling.results.summary import summarize  # noqa: E402

PICTURES = paths.ROOT / "docs" / "pictures"
PHOTOS = ("china", "flower", "grace_hopper")
SINGLE = ("squish", "expansion", "dollar_rain", "jelly_press", "bloombloom", "fuzzyfuzzy", "rocketrocket", "anime_figure")
DUAL = ("hug_pro", "heart_gesture_pro")
SIZES = (16, 500, 2000)
SCREEN = 1080  # pixels
MOST_BYTES = 300_000  # of a picture; a larger one gets a palette
RISK = "Failure to pass the risk control system."
A4 = {"width": 794, "height": 1123}  # pixels of CSS
START = datetime(2026, 11, 26, 6, 0, tzinfo=timezone.utc)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", action="store_true", help="write the pictures in docs/pictures")
    arguments = parser.parse_args()
    made = videos()
    print(json.dumps(machine.conditions()))
    for rows in SIZES:
        written = write(made, rows)
        print(json.dumps({"rows": rows, **written, **measure(rows)}), flush=True)
    if arguments.pictures:
        for name in take_pictures():
            print(name, (PICTURES / name).stat().st_size)


# --- The results -----------------------------------------------------------------------------------------------


def videos() -> list[dict[str, Any]]:
    """The results of one Kling task for each scene and photograph, with what they were made from. They are made once."""
    known = BUILD / "made.json"
    if not known.exists():
        (BUILD / "photos").mkdir(parents=True, exist_ok=True)
        for photo in PHOTOS:
            (BUILD / "photos" / f"{photo}.jpg").write_bytes((paths.ROOT / "demo" / "images" / f"{photo}.jpg").read_bytes())
        with KlingEmulator(duration=0, slots=50) as kling:
            os.environ["AIRFLOW_CONN_KLING_DEFAULT"] = kling.connection()
            with KlingHook() as hook:
                known.write_text(json.dumps(list(made_by(hook))))
    return list(json.loads(known.read_text()))


def made_by(hook: KlingHook) -> Iterator[dict[str, Any]]:
    singles = [(scene, (photo,)) for scene in SINGLE for photo in PHOTOS]
    duals = [(scene, (one, other)) for scene in DUAL for one in PHOTOS for other in PHOTOS if one != other]
    for scene, photos in (*singles, *duals):
        images = [str(BUILD / "photos" / f"{photo}.jpg") for photo in photos]
        created = hook.create_task(EffectRequest(scene, [load_image(image) for image in images]))
        task = hook.wait_for_task(created.kling_task_id, poll_interval=0.1)
        saved = hook.save_videos(task, str(BUILD / "made"))
        columns = {"image": f"photos/{photos[0]}.jpg"} if len(photos) == 1 else {}
        columns |= {f"image_{number}": f"photos/{photo}.jpg" for number, photo in enumerate(photos, 1) if len(photos) > 1}
        yield {"photos": photos, "columns": columns, "result": result_of(task, effect_scene=scene, paths=saved)}


def lines(made: list[dict[str, Any]], rows: int) -> Iterator[dict[str, Any]]:
    """So many results, a tenth of them failures of four kinds. Each video is a file of its own."""
    folder = BUILD / str(rows) / "videos"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, rows + 1):
        each = made[(number * 7) % len(made)]
        scene, task = each["result"]["effect_scene"], f"17956{number * 7919 + 6489660200148:013d}"
        row_id = f"{'-'.join(each['photos']).replace('_', '-')}-{number:04d}"
        time_done = (START + timedelta(seconds=13 * number)).isoformat().replace("+00:00", "Z")
        facts = {**each["result"], "kling_task_id": task, "external_task_id": f"airflow-{number * 7919**9:040x}"[:48]}
        facts |= {"updated_at": time_done, "created_at": time_done, "error": None}
        if number % 10 == 7:
            facts |= failure(number, row_id, task, next(iter(each["columns"].values())))
        else:
            path = folder / f"{row_id}-{task}.mp4"
            if not path.exists():
                os.link(each["result"]["videos"][0]["path"], path)
            facts["videos"] = [{**each["result"]["videos"][0], "path": str(path), "url": f"https://cdn.example.com/{task}.mp4"}]
        yield {"id": row_id, "effect_scene": scene, **each["columns"], "campaign": f"Winter {2026 + number % 2}", **facts}


def failure(number: int, row_id: str, task: str, image: str) -> dict[str, Any]:
    """What a row without a video has, in words that the package uses."""
    failed = f"Kling task {task} failed:"
    risk = f"{failed} {RISK} Use another image or scene: the same request would fail again."
    busy = f"{failed} the service is busy. The same request may work another time."
    small = (
        f"line {number + 1}, id '{row_id}': {image}: has {100 + number % 90} × 240 pixels; wanted are at least 300 on each side."
    )
    late = f"Not done at the timeout. Its task still is at Kling, under the id {task}."
    kinds = [("failed", risk)] * 5 + [("invalid", small)] * 3 + [("error", late), ("failed", busy)]
    status, error = kinds[number // 10 % len(kinds)]
    ids = {"kling_task_id": None, "external_task_id": None} if status == "invalid" else {}
    return {"videos": None, "units": None, "status": status, "error": error, **ids}


def write(made: list[dict[str, Any]], rows: int) -> dict[str, Any]:
    """Write a report, and measure that."""
    folder = BUILD / str(rows)
    all_lines = list(lines(made, rows))
    summary = summarize(all_lines)
    started = time.perf_counter()
    page = render_report(
        all_lines,
        title="winter-campaign.csv",
        summary=summary,
        created_at=START + timedelta(seconds=13 * rows + 60),
        output=str(folder),
        image_folder=str(BUILD),
        about=[
            ("DAG", "kling_effects_batch"),
            ("run", "scheduled__2026-11-26T06:00:00+00:00"),
            ("manifest", "s3://campaigns/in/winter-campaign.csv"),
        ],
        results_link="results.jsonl",
    )
    size = (folder / "report.html").write_text("".join(page), encoding="utf-8")
    (folder / "results.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in all_lines))
    return {"write_seconds": round(time.perf_counter() - started, 2), "megabytes": round(size / 1e6, 2)}


# --- In the browser --------------------------------------------------------------------------------------------


def url(rows: int) -> str:
    return (BUILD / str(rows) / "report.html").as_uri()


def measure(rows: int) -> dict[str, Any]:
    """Seconds until the page answers and of a search in it, and the screens that its table takes."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": SCREEN})
        page.goto(url(rows))
        ready = page.evaluate("performance.getEntriesByName('ready')[0].startTime") / 1000
        page.wait_for_timeout(2000)  # until the pictures are there
        search = page.evaluate(SEARCH) / 1000
        page.check("#view-table", force=True)
        heights = [page.evaluate("document.documentElement.scrollHeight")]
        if page.locator("#pages").is_visible():
            page.click("#later")
            heights.append(page.evaluate("document.documentElement.scrollHeight"))
    return {
        "seconds_until_ready": round(ready, 2),
        "seconds_of_a_search": round(search, 2),
        "screens_of_table": round(max(heights) / SCREEN, 1),
    }


SEARCH = """() => {
  const search = document.querySelector("#search"), started = performance.now();
  for (const value of ["-0008", ""]) {
    search.value = value;
    search.dispatchEvent(new Event("input"));
    document.body.getBoundingClientRect();
  }
  return performance.now() - started;
}"""

PHONE = {"viewport": {"width": 390, "height": 844}}
DARK = {"color_scheme": "dark"}
OPEN_GROUP = "document.querySelector('.group button').click(); document.querySelectorAll('.row.on td.scene')[1].click()"
ROW_1900 = "location.hash = [...document.querySelectorAll('.row')].find((row) => row.id.endsWith('-1900')).id"
PAPER = "paper"

# Name of the picture → rows, options of the browser, and what is done on the page before.
SHOTS: dict[str, tuple[int, dict[str, Any], str]] = {
    "report-16": (16, {}, ""),
    "report-16-dark": (16, DARK, ""),
    "report-16-phone": (16, PHONE, ""),
    "report-16-print": (16, {}, PAPER),
    "report-500": (500, {}, ""),
    "report-500-group": (500, {}, OPEN_GROUP),
    "report-500-phone": (500, PHONE, ""),
    "report-2000": (2000, {}, ROW_1900),
    "report-2000-dark": (2000, DARK, ""),
}


def take_pictures() -> Iterator[str]:
    """Pictures of the reports as they are read: on a desktop, in the dark, on a phone, and as they are printed."""
    with chromium() as browser:
        for name, (rows, options, prepare) in SHOTS.items():
            page = browser.new_page(**{"viewport": {"width": 1280, "height": 860}, **options})
            page.goto(url(rows))
            if prepare == PAPER:
                page.set_viewport_size(A4)
                page.wait_for_timeout(2000)
                page.emulate_media(media="print", color_scheme="light")
                page.evaluate("document.body.style.padding = '45px'")  # the margins of paper
            elif prepare:
                page.evaluate(prepare)
            page.wait_for_timeout(6000)
            path = PICTURES / f"{name}.png"
            page.screenshot(path=path)
            Image.open(path).convert("RGB").save(path, optimize=True)
            if path.stat().st_size > MOST_BYTES:
                Image.open(path).quantize(256).save(path, optimize=True)
            page.close()
            yield path.name


if __name__ == "__main__":
    main()
