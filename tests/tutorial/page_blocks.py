"""The fenced blocks of a page, in their order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of code, and the line of the page on which it begins."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [Block(page.name, text[: found.start()].count("\n") + 1, *found.groups()) for found in FENCED.finditer(text)]


def missing_lines(wanted: str, output: str) -> list[str]:
    """The lines of a `text` block that the output has nowhere. `…` stands for anything within a line, blanks for any blanks."""
    printed = [" ".join(line.split()) for line in output.splitlines()]
    return [line for line in wanted.splitlines() if line.strip() and not any(_pattern(line).search(one) for one in printed)]


def _pattern(line: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(" ".join(part.split())) for part in line.split("…")))
