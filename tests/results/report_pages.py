"""What the tests of the report share: lines of results, and the page as a browser parses it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pendulum

from airflow_provider_kling.results import render_report
from airflow_provider_kling.results.summary import summarize


def line(**facts: Any) -> dict[str, Any]:
    return {"id": "a", "effect_scene": "squish", "image": "a.jpg", "status": "succeed", "error": None, "units": "2", **facts}


def failed(error: str, **facts: Any) -> dict[str, Any]:
    return line(**{"status": "failed", "error": error, "units": None, **facts})


def video(path: str | None, url: str = "https://cdn.example/v.mp4") -> dict[str, Any]:
    return {"id": "v", "url": url, "path": path, "expires_at": "2026-01-31T00:00:00Z", "duration": 5.0}


class Page(HTMLParser):
    """The page as a browser parses it; it must be well formed. Each row has the texts of its cells, by their class."""

    void = frozenset({"meta", "input", "br", "img"})

    def __init__(self, *lines: dict[str, Any], output: str = "/data/out", title: str = "Results", **options: Any) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.style = self.script = ""
        self.rows: list[dict[str, str]] = []
        self.groups: list[str] = []
        self._open: list[str] = []
        self._cell = ""
        options = {"created_at": pendulum.datetime(2026, 1, 1), "summary": summarize(lines), **options}
        self.html = "".join(render_report(lines, title=title, output=output, **options))
        self.feed(self.html)
        self.close()
        assert not self._open
        self.groups = [" ".join(group.split()) for group in self.groups]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        self.tags.append((tag, facts))
        if tag == "tr" and "row" in str(facts.get("class")).split():
            self.rows.append({"anchor": str(facts["id"]), "is": str(facts["class"]).split()[1]})
        if tag == "tr" and facts.get("class") == "group":
            self.groups.append("")
        if tag in ("td", "tr"):
            self._cell = str(facts.get("class") or "")
        if tag not in self.void:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag in ("td", "th"):
            self._cell = ""

    def handle_data(self, data: str) -> None:
        match self._open[-1:]:
            case ["style"]:
                self.style += data
            case ["script"]:
                self.script += data
            case _:
                self.text += data
                if self.rows and "td" in self._open:
                    self.rows[-1][self._cell] = (self.rows[-1].get(self._cell, "") + data).strip()
                elif self.groups and self._cell == "group":
                    self.groups[-1] += data

    def all(self, tag: str, attribute: str) -> list[str | None]:
        return [attributes.get(attribute) for name, attributes in self.tags if name == tag]

    def links(self) -> list[str]:
        """Where links of rows lead to, but for those to the row itself."""
        return [str(link) for link in self.all("a", "href") if not str(link).startswith("#")]
