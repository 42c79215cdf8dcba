"""What the readers of all formats share: a record, the error for a manifest that cannot be read, and limits of size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import Any, NamedTuple

MAX_CELL = 32 * 1024 * 1024  # characters: two images of 10 MB in base64, and some more
MAX_ROW = 64 * 1024 * 1024  # bytes of a line, characters of a row
MAX_JSON = 128 * 1024 * 1024  # bytes of a list, which is read as a whole
MAX_COLUMNS = 1000


class Record(NamedTuple):
    """One row as its format has it: the line it begins in, its columns, and what is wrong with it as a record."""

    line: int
    columns: Mapping[str, Any]
    problems: Sequence[str] = ()


class BrokenManifest(Exception):
    """The records of a manifest cannot be told from each other; `problems` has a sentence for each reason."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems


def too_many_columns(columns: Sized) -> str:
    """What to report of a row or header with more than MAX_COLUMNS columns."""
    return f"{len(columns):,} columns; wanted are at most {MAX_COLUMNS:,}."
