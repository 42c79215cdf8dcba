"""The results as a page that works from a disk."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

import pendulum
import pytest

from airflow_provider_kling.results import report
from airflow_provider_kling.results.report import MAX_PLAYERS, render_report
from airflow_provider_kling.results.summary import Summary, summarize


def line(**facts: Any) -> dict[str, Any]:
    return {"id": "a", "effect_scene": "squish", "image": "a.jpg", "status": "succeed", "error": None, "units": "2", **facts}


def video(path: str | None, url: str = "https://cdn.example/v.mp4") -> dict[str, Any]:
    return {"id": "v", "url": url, "path": path, "expires_at": "2026-01-31T00:00:00Z", "duration": 5.0}


class Page(HTMLParser):
    """The page as a browser parses it; it must be well formed."""

    void = frozenset({"meta", "input", "br"})

    def __init__(self, *lines: dict[str, Any], output: str = "/data/out", title: str = "Results") -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        created_at = pendulum.datetime(2026, 1, 1)
        self.html = "".join(render_report(lines, title=title, summary=summarize(lines), created_at=created_at, output=output))
        self.feed(self.html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, attribute: str) -> list[str | None]:
        return [attributes.get(attribute) for name, attributes in self.tags if name == tag]


def test_the_page_shows_what_became_of_each_row() -> None:
    page = Page(
        line(id="first", title="A title", kling_task_id="831", external_task_id="mine", videos=[video("/data/out/videos/a.mp4")]),
        line(id="second", status="failed", error="Kling task 832 failed: risk control.", units=None),
        title="My results",
    )
    for text in (
        "My results",
        "2 rows: 1 succeeded, 1 failed; 2 units, 1 video",
        "first",
        "squish",
        "A title",
        "831",
        "mine",
        "risk control",
    ):
        assert text in page.text
    assert page.all("article", "class") == ["succeed", "failed"]
    assert page.all("video", "src") == ["videos/a.mp4"]


def test_the_page_loads_nothing_from_elsewhere_and_runs_nothing() -> None:
    page = Page(line(videos=[video("/data/out/videos/a.mp4"), video(None)], image="https://example.com/a.jpg"))
    loading = {"src", "srcset", "poster", "data", "action", "background"}
    assert [name for _, attributes in page.tags for name in attributes if name in loading] == ["src"]
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
    assert "url(" not in page.html
    assert "@import" not in page.html


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "</title>&amp;'"])
def test_everything_in_a_row_is_shown_as_text(text: str) -> None:
    row = line(id=text, effect_scene=text, error=text, message=text, units=text, kling_task_id=text, external_task_id=text)
    page = Page({**row, text: text, "nested": [text], "videos": [video(f"/elsewhere/{text}", url=text)]}, title=text)
    plain = Page(
        line(
            videos=[video("/elsewhere/a", url="none")],
            error="e",
            message="m",
            kling_task_id="1",
            external_task_id="2",
            x="1",
            nested=[1],
        )
    )
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert page.text.count(text) >= 10


@pytest.mark.parametrize(
    ("output", "path", "link"),
    [
        ("/data/out", "/data/out/videos/a.mp4", "videos/a.mp4"),
        ("/data/out/", "file:///data/out/videos/a.mp4", "videos/a.mp4"),
        ("s3://conn@bucket/out", "s3://conn@bucket/out/videos/a.mp4", "videos/a.mp4"),
        ("/data/out", "/data/out/a b#c?d%.mp4", "a%20b%23c%3Fd%25.mp4"),
        ("/data/out", "/data/out/javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("/data/out", "/data/out//evil.example/a.mp4", "evil.example/a.mp4"),
        ("", "videos/a.mp4", "videos/a.mp4"),
        ("/data/out", "/data/out/../secret.mp4", None),
        ("/data/out", "/data/output/a.mp4", None),
        ("/data/out", "/elsewhere/a.mp4", None),
        ("/data/out", "s3://bucket/a.mp4", None),
        ("/data/out", "javascript:alert(1)", None),
        ("/data/out", "//evil.example/a.mp4", None),
        ("/data/out", None, None),
    ],
)
def test_only_a_video_below_the_page_is_played_from_there(output: str, path: str | None, link: str | None) -> None:
    page = Page(line(videos=[video(path)]), output=output)
    assert page.all("video", "src") == ([link] if link else [])
    assert page.all("a", "href") == ([link] if link else []) + ["https://cdn.example/v.mp4"]
    assert link is None or unquote(link) in str(path)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//evil.example", "", None, 7])
def test_only_http_addresses_become_links(url: Any) -> None:
    assert Page(line(videos=[video(None, url=url)])).all("a", "href") == []


def test_videos_beyond_the_first_two_hundred_are_links() -> None:
    page = Page(*(line(videos=[video(f"/data/out/videos/{number}.mp4")]) for number in range(MAX_PLAYERS + 5)))
    assert len(page.all("video", "src")) == MAX_PLAYERS
    assert len([link for link in page.all("a", "href") if str(link).startswith("videos/")]) == MAX_PLAYERS + 5


def test_a_row_without_anything_known_is_shown_all_the_same() -> None:
    page = Page({"id": "a", "status": None, "videos": None})
    assert page.all("article", "class") == ["error"]


def test_half_a_surrogate_pair_can_be_written() -> None:
    assert "half ?" in Page(line(title="half \ud800")).html.encode().decode()


def test_of_very_many_rows_those_without_a_video_are_shown_first(monkeypatch) -> None:
    monkeypatch.setattr(report, "MAX_ROWS", 10)
    lines = [line(id=str(number), status="failed" if number % 10 == 9 else "succeed") for number in range(40)]
    html = "".join(render_report(lines, title="Many", summary=summarize(lines)))
    assert re.findall(r"<h2>(\d+)</h2>", html) == ["0", "1", "2", "3", "4", "5", "9", "19", "29", "39"]
    assert "Shown are 10 of 40 rows" in html
    lines = [line(id=str(number), status="failed") for number in range(40)]
    assert len(re.findall("<article", "".join(render_report(lines, title="Bad", summary=summarize(lines))))) == 10


def test_a_large_page_needs_no_more_memory_than_a_small_one() -> None:
    def peak(rows: int) -> int:
        def lines() -> Iterator[dict[str, Any]]:
            for number in range(rows):
                yield line(id=str(number), title="x" * 500, videos=[video(f"/data/out/videos/{number}.mp4")])

        tracemalloc.start()
        try:
            pieces = render_report(lines(), title="Large", summary=Summary(counts={"succeed": rows}), output="/data/out")
            assert sum(map(len, pieces)) > rows * 500
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    assert peak(5_000) < 2 * peak(500)
