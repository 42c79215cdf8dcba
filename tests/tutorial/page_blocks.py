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
    printed = _lines(output)
    return [line for line in _lines(wanted) if not any(_pattern(line).search(one) for one in printed)]


def is_what_was_printed(wanted: str, output: str) -> bool:
    """Whether the lines of a `text` block are those of the output, each whole, and in their order.

    `…` stands for anything within a line, and a line of it for any lines. Empty lines do not count, and blanks are any blanks.
    """
    lines = ["(?:.*\n)*?" if line == "…" else f"{_pattern(line).pattern}\n" for line in _lines(wanted)]
    return re.fullmatch("".join(lines), "".join(f"{line}\n" for line in _lines(output))) is not None


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _pattern(line: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part.strip()) for part in line.split("…")))
