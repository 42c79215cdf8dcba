"""The results as a page that works from a disk and from a bucket."""

from __future__ import annotations

import base64
import hashlib
import tracemalloc
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from report_pages import Page, failed, line, video

from airflow_provider_kling.results import render_report, report, report_policy, report_title
from airflow_provider_kling.results.summary import Summary


def test_the_page_shows_what_became_of_each_row() -> None:
    page = Page(
        line(id="first", title="A title", kling_task_id="831", external_task_id="mine", videos=[video("/data/out/videos/a.mp4")]),
        line(id="second", status="failed", error="Kling task 832 failed: risk control.", units=None),
        title="my.csv",
        about=[("run", "manual__1"), ("manifest", "")],
        results_link="results.jsonl",
    )
    assert "2 rows: 1 succeeded, 1 failed; 2 units, 1 video" in page.text
    assert "manual__1" in page.text
    assert "manifest" not in page.text
    assert "2026-01-01 00:00 UTC" in page.text
    bad, good = page.rows
    assert (bad["id"], bad["is"], bad["note"]) == ("second", "failed", "Kling task 832 failed: risk control.")
    assert (good["id"], good["is"], good["scene"], good["units"]) == ("first", "succeed", "squish", "2")
    assert all(text in good["facts"] for text in ("A title", "831", "mine", "until 2026-01-31 00:00 UTC"))
    assert page.links() == ["results.jsonl", "videos/a.mp4", "videos/a.mp4", "https://cdn.example/v.mp4"]


def test_the_page_runs_its_own_script_alone_and_loads_only_images_and_videos() -> None:
    page = Page(line(videos=[video("/data/out/videos/a.mp4"), video(None)], image="https://example.com/a.jpg"))
    loading = {"src", "srcset", "poster", "data", "action", "background", "style"}
    loaded = [(tag, facts[name]) for tag, facts in page.tags for name in facts if name in loading]
    assert loaded == [("img", "https://example.com/a.jpg"), ("video", "videos/a.mp4"), ("video", "https://cdn.example/v.mp4")]
    assert not {"link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
    assert not [name for _, facts in page.tags for name in facts if name.startswith("on")]
    assert "url(" not in page.style
    assert "@import" not in page.style
    policy = dict(rule.split(" ", 1) for rule in report_policy().split("; "))
    assert report_policy() in page.all("meta", "content")
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    for name, text in (("script-src", page.script), ("style-src", page.style)):
        assert policy[name] == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "</title>&amp;'"])
@pytest.mark.parametrize("by_run", [False, True])
def test_everything_in_a_row_is_shown_as_text(text: str, by_run: bool) -> None:
    row = failed(text, id=text, effect_scene=text, message=text + "!", units=text, kling_task_id=text, external_task_id=text)
    row |= {text: text, "nested": [text], "run": text, "image": text, "videos": [video(f"/elsewhere/{text}", url=text)]}
    page = Page(row, title=text, by_run=by_run, about=[(text, text)])
    plain = {**failed("e", message="m", kling_task_id="1", external_task_id="2"), "x": "1", "nested": [1], "run": "1"}
    like = Page({**plain, "image": "a", "videos": [video("/elsewhere/a", url="none")]}, by_run=by_run, about=[("a", "b")])
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in like.tags]
    assert page.text.count(text) >= 10


@pytest.mark.parametrize(
    ("manifest", "title"),
    [
        ("s3://conn@bucket/in/2026-11-22.csv", "2026-11-22.csv"),
        ("/data/2026-11-22/manifest.csv", "2026-11-22/manifest.csv"),
        ("manifest.csv", "manifest.csv"),
        ("https://example.com/in/m.csv?X-Amz-Signature=f00", "m.csv"),
    ],
)
def test_the_title_is_the_name_of_the_manifest(manifest: str, title: str) -> None:
    assert report_title(manifest) == title


# --- Links -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "path", "link"),
    [
        ("/data/out", "/data/out/videos/a.mp4", "videos/a.mp4"),
        ("/data/out/", "file:///data/out/videos/a.mp4", "videos/a.mp4"),
        ("s3://conn@bucket/out", "s3://conn@bucket/out/videos/a.mp4", "videos/a.mp4"),
        ("s3://conn@bucket/out", "s3://bucket/videos/a.mp4", "../videos/a.mp4"),
        ("/data/out", "/data/out/a b#c?d%.mp4", "a%20b%23c%3Fd%25.mp4"),
        ("/data/out", "/data/out/javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("/data/out", "/data/out//evil.example/a.mp4", "evil.example/a.mp4"),
        ("", "videos/a.mp4", "videos/a.mp4"),
        ("/data/out", "/data/videos/a.mp4", "../videos/a.mp4"),
        ("/data/out", "/data/output/a.mp4", "../output/a.mp4"),
        ("/data/out", "/data/out/../a.mp4", "../a.mp4"),
        ("/data/out", "/data/out/../secret.txt", None),
        ("/data/out", "/etc/passwd", None),
        ("/data/out", "s3://bucket/a.mp4", None),
        ("s3://bucket/out", "s3://other/a.mp4", None),
        ("s3://bucket/out", "s3://bucket/out/../a.mp4", None),
        ("s3://bucket/out", "s3://bucket/out//evil.example/a.mp4", None),
        ("/data/out", "javascript:alert(1)", None),
        ("/data/out", "//evil.example/a.mp4", None),
        ("/data/out", None, None),
    ],
)
def test_a_video_is_played_from_where_a_relative_path_leads(output: str, path: str | None, link: str | None) -> None:
    page = Page(line(videos=[video(path)]), output=output)
    assert page.all("video", "src") == [link or "https://cdn.example/v.mp4"]
    assert page.links() == [*([link, link] if link else ["https://cdn.example/v.mp4"]), "https://cdn.example/v.mp4"]
    assert link is None or unquote(link).removeprefix("../") in str(path)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//evil.example", "", None, 7])
def test_only_http_addresses_become_links(url: Any) -> None:
    assert Page(line(videos=[video(None, url=url)])).links() == []
    assert Page(line(image=url)).all("img", "src") == []


@pytest.mark.parametrize(
    ("folder", "image", "link"),
    [
        ("/data/in", "photos/a b.jpg", "../in/photos/a%20b.jpg"),
        ("/data/in", "/mnt/a.PNG", "../../mnt/a.PNG"),
        ("/data/in", "file:///data/out/a.jpg", "a.jpg"),
        ("/data/in", "https://example.com/a.jpg?w=300", "https://example.com/a.jpg?w=300"),
        ("/data/in", "https://example.com/a.jpg?X-Amz-Signature=f00", None),
        ("/data/in", "https://user:secret@example.com/a.jpg", None),
        ("/data/in", "s3://bucket/a.jpg", None),
        ("/data/in", "../../etc/passwd", None),
        ("/data/in", "~/a.jpg", None),
        ("/data/in", "javascript:alert(1)//a.jpg", "../in/javascript%3Aalert%281%29/a.jpg"),
        ("/data/in", "base64 image (2,572 characters)", None),
        ("", "photos/a.jpg", None),
        ("s3://conn@bucket/in/", "a.jpg", None),
    ],
)
def test_the_input_image_stands_before_the_video(folder: str, image: str, link: str | None) -> None:
    page = Page(line(image=image), image_folder=folder)
    assert page.all("img", "src") == ([link] if link else [])
    name = "base64 image (2,572 characters)" if image.startswith("base64") else image.split("?")[0].rpartition("/")[2]
    assert page.rows[0]["before"] == name
    assert "f00" not in page.html
    assert "secret" not in page.html


def test_images_of_a_bucket_and_both_images_of_a_pair() -> None:
    pair = line(image="", image_1="l.jpg", image_2="r.jpg")
    page = Page(pair, line(image=None, images='["l.jpg", "r.jpg"]'), output="s3://b/out", image_folder="s3://c@b/in/")
    assert page.all("img", "src") == ["../in/l.jpg", "../in/r.jpg"] * 2
    assert page.all("img", "alt") == ["l.jpg", "r.jpg"] * 2


def test_columns_are_shown_without_signatures_and_tokens() -> None:
    page = Page(
        line(original="see https://b.s3.amazonaws.com/a.jpg?X-Amz-Signature=f00d", note="Bearer t0ken-of-mine", long="x" * 900)
    )
    assert "https://b.s3.amazonaws.com/a.jpg?…" in page.rows[0]["facts"]
    assert "f00d" not in page.html
    assert "t0ken" not in page.html
    assert "x" * 301 not in page.html


def test_a_server_makes_links_of_its_own() -> None:
    asked = []

    def link_of(kind: str, line: Any, index: int) -> str | None:
        asked.append((kind, line["id"], index))
        return {"image": f"api/image?key={line['id']}&index={index}", "video": "javascript:alert(1)"}.get(kind)

    page = Page(line(id="k", image="s3://elsewhere/a.jpg", videos=[video("s3://elsewhere/a.mp4")]), link_of=link_of)
    assert asked == [("image", "k", 0), ("video", "k", 0), ("kling", "k", 0)]
    assert page.all("img", "src") == ["api/image?key=k&index=0"]
    assert page.links() == ["api/image?key=k&index=0"]  # whoever makes a link: it is one of the web, or relative


# --- Rows ------------------------------------------------------------------------------------------------------


def test_failures_come_first_and_equal_ones_are_one_group() -> None:
    risk = [failed(f"Kling task 17956000{n} failed: risk control.", id=f"r{n}", kling_task_id=f"17956000{n}") for n in range(20)]
    few = failed("line 7, id 'x': Scene 'hug_pro' takes two images.", id="x", status="invalid")
    page = Page(line(id="good"), few, *risk, line(id="better"))
    assert page.groups == [
        "failed 20 rows Kling task … failed: risk control.",
        "invalid 1 row line 7, id 'x': Scene 'hug_pro' takes two images.",
        "succeeded 2 rows",
    ]
    assert [row["id"] for row in page.rows] == [*(f"r{n}" for n in range(20)), "x", "good", "better"]


def test_rows_of_a_run_that_still_runs() -> None:
    lines = [line(id="w", status="waiting"), line(id="s"), line(id="r", status="running"), failed("Gone.", id="f")]
    counts = {"waiting": 1, "running": 1, "succeed": 1, "failed": 1}
    page = Page(*lines, summary=Summary(counts=counts))
    assert [(row["id"], row["is"]) for row in page.rows] == [
        ("f", "failed"),
        ("r", "running"),
        ("w", "waiting"),
        ("s", "succeed"),
    ]
    assert {"only-waiting", "only-running"} <= set(page.all("input", "id"))


def test_the_results_of_all_runs_are_grouped_by_run_with_a_link_to_each() -> None:
    lines = [
        line(id="a", run="2026-11-20", image="p/a.jpg"),
        failed("Gone.", id="b", run="2026-11-21"),
        line(id="c", run="2026-11-21"),
    ]
    page = Page(*lines, by_run=True, output="/data/out")
    assert page.groups == [
        "2026-11-21 2 rows: 1 succeeded, 1 failed; 2 units, 0 videos 1 failed Report of this run",
        "2026-11-20 1 row: 1 succeeded; 2 units, 0 videos Report of this run",
    ]
    assert [row["id"] for row in page.rows] == ["b", "c", "a"]
    links = [link for link in page.links() if "report.html" in link]
    assert links[0] == "2026-11-21/report.html"
    assert links[1].startswith("2026-11-21/report.html#row-b")
    assert Page(line(id="b")).rows[0]["anchor"] == links[1].partition("#")[2]


def test_each_row_has_an_anchor_that_stays() -> None:
    rows = [line(id=name) for name in ("a-1", "let’s ride", "let's ride", "漢字", "漢", "x" * 200, "a-1")]
    anchors = [row["anchor"] for row in Page(*rows).rows]
    assert anchors[0] == "row-a-1"
    assert len(set(anchors)) == len(anchors)
    assert all(anchor.isascii() and " " not in anchor and len(anchor) < 100 for anchor in anchors)
    assert [row["anchor"] for row in Page(*rows[1:6]).rows] == anchors[1:6]


def test_a_row_without_anything_known_is_shown_all_the_same() -> None:
    page = Page({"id": "a", "status": None, "videos": None})
    assert [(row["id"], row["is"]) for row in page.rows] == [("a", "error")]


def test_half_a_surrogate_pair_can_be_written() -> None:
    page = Page(line(id="half \ud800", title="half \ud800"), title="half \ud800").html.encode().decode()
    assert page.count("half ?") == 4
    assert page.count("half \ufffd") == 2


def test_of_very_many_rows_those_without_a_video_are_shown_first(monkeypatch) -> None:
    monkeypatch.setattr(report, "MAX_ROWS", 10)
    lines = [failed("Gone.", id=str(number)) if number % 10 == 9 else line(id=str(number)) for number in range(40)]
    page = Page(*lines)
    assert [row["id"] for row in page.rows] == ["9", "19", "29", "39", "0", "1", "2", "3", "4", "5"]
    assert page.groups == ["failed 4 rows Gone.", "succeeded 36 rows (6 shown)"]
    assert "Shown are 10 of 40 rows" in page.text


def test_of_very_many_failures_each_reason_is_shown(monkeypatch) -> None:
    monkeypatch.setattr(report, "MAX_ROWS", 10)
    lines = [failed("Gone.", id=str(number)) for number in range(40)] + [failed("Rare.", id="r"), line(id="good")]
    page = Page(*lines)
    assert page.groups == ["failed 40 rows Gone. (9 shown)", "failed 1 row Rare.", "succeeded 1 row (0 shown)"]
    assert len(page.rows) == 10


@pytest.mark.integration
def test_rows_that_are_not_on_the_page_need_no_memory(monkeypatch) -> None:
    def peak(rows: int) -> int:
        counts = {"succeed": rows - rows // 10, "failed": rows // 10}
        tracemalloc.start()
        try:
            pieces = render_report(many_lines(rows), title="Large", summary=Summary(counts=counts), output="/data/out")
            size = sum(map(len, pieces))
            memory = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert memory < 2**18 + size / 3  # those on the page wait in a file
        return memory

    monkeypatch.setattr(report, "MAX_ROWS", 1000)
    peak(10)
    assert peak(5_000) < 1.5 * peak(1_000)


def many_lines(rows: int) -> Iterator[dict[str, Any]]:
    for number in range(rows):
        state = {"status": "failed", "error": f"Gone {number % 7}."} if number % 10 == 0 else {}
        yield line(id=str(number), title="x" * 200, videos=[video(f"/data/out/videos/{number}.mp4")], **state)
