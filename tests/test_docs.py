"""The Markdown of the project: short lines, pages that are found, titles that are told apart, links and anchors that exist.

`make docs` builds the site, and finds more; this needs no Sphinx and takes a moment.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import ROOT

DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "extensions"))

from toctrees import TOCTREE, expanded  # noqa: E402

PAGES = sorted(DOCS.rglob("*.md"))
MARKDOWN = [*PAGES, *sorted(ROOT.glob("*.md"))]
LONGEST = 160  # characters of a line
CODE = re.compile(r"^(`{3,}|~{3,}).*?^\1", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(path: Path) -> str:
    """The page without its blocks of code."""
    return CODE.sub("", path.read_text(encoding="utf-8"))


def headings(path: Path) -> list[str]:
    return re.findall(r"^#{1,6} (.+)$", text_of(path), re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """As GitHub and MyST make them of headings."""
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings(path)}


def listed(page: Path) -> Iterator[Path]:
    """The pages in the tables of contents of this page, and in theirs."""
    for toctree in TOCTREE.finditer(expanded(page.read_text(encoding="utf-8"), page.parent)):
        for line in toctree[2].split("\n"):
            if line and not line.startswith(":"):
                below = page.parent / f"{line}.md"
                yield below
                yield from listed(below)


@pytest.mark.parametrize("path", MARKDOWN, ids=name)
def test_no_line_is_too_long_to_read(path):
    assert not [line for line in path.read_text(encoding="utf-8").split("\n") if len(line) > LONGEST]


@pytest.mark.parametrize("path", MARKDOWN, ids=name)
def test_links_lead_to_files_and_headings_that_exist(path):
    for inline, defined in LINK.findall(text_of(path)):
        place, _, anchor = (inline or defined).partition("#")
        if re.match(r"[a-z]+:", place):
            continue
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), f"{place} is no file"
        assert not anchor or anchor in anchors(target), f"{place}#{anchor} is no heading"


def test_each_page_is_in_the_contents_once():
    assert Counter(listed(DOCS / "index.md")) == Counter(page for page in PAGES if page != DOCS / "index.md")


def test_each_page_has_one_title_and_no_other_page_has_it():
    titles = [re.findall(r"^# (.+)$", text_of(page), re.MULTILINE) for page in PAGES]
    assert all(len(one) == 1 for one in titles)
    assert [title for title, count in Counter(one[0] for one in titles).items() if count > 1] == []
