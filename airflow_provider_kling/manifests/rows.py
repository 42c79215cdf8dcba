"""The rows of a manifest as values: each of them a request, or the reasons why it is none."""

from __future__ import annotations

import heapq
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_kling.errors import KlingManifestError
from airflow_provider_kling.redaction import is_inline


@dataclass(frozen=True, kw_only=True)
class _NumberedRow:
    """What good and bad rows have in common."""

    line: int
    """The line of the file in which the row begins, counted from 1."""
    number: int
    """The number of the row among all rows, counted from 1."""
    id: str
    columns: Mapping[str, Any] = field(repr=False)
    """The row as found, without `id`; images written as base64 are replaced by their size."""

    @property
    def place(self) -> str:
        """How errors name the row: `line 7, id 'a'`, or `line 7, row 6` where it has no id of its own."""
        return f"line {self.line}, " + (f"row {self.number}" if self.id == str(self.number) else f"id {self.id!r}")


@dataclass(frozen=True, kw_only=True)
class Row(_NumberedRow):
    """A row that may work. `images` holds one or two sources for `load_image`, which are not read yet."""

    effect_scene: str
    images: tuple[str, ...] = field(repr=False)
    left_task: str | None = None
    """The id of the task with which an earlier run has left this row, as `unfinished.jsonl` names it: it may not have failed."""


@dataclass(frozen=True, kw_only=True)
class BadRow(_NumberedRow):
    """A row that cannot work, and why: one sentence for each problem. `kind` is one of `api.ERROR_KINDS`.

    `images` are the sources of its images, where these are not the problem.
    """

    problems: tuple[str, ...]
    kind: str = "request"
    images: tuple[str, ...] = field(default=(), repr=False)

    @property
    def text(self) -> str:
        """Where the row is, and all that is wrong with it."""
        return f"{self.place}: {' '.join(self.problems)}"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A whole manifest: its name, its good rows, its bad rows, and warnings as sentences."""

    name: str
    rows: tuple[Row, ...]
    bad_rows: tuple[BadRow, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[Row | BadRow], *, name: str, warnings: Iterable[str] = ()) -> Manifest:
        """The manifest of these rows. `warnings` may be filled while the rows are read."""
        good: list[Row] = []
        bad: list[BadRow] = []
        for row in rows:
            if isinstance(row, Row):
                good.append(row)
            else:
                bad.append(row)
        return cls(name=name, rows=tuple(good), bad_rows=tuple(bad), warnings=tuple(warnings))

    @property
    def all_rows(self) -> Iterator[Row | BadRow]:
        """Good and bad rows, in the order of the file."""
        return heapq.merge(self.rows, self.bad_rows, key=lambda row: row.number)

    def raise_for_problems(self) -> None:
        """Raise one KlingManifestError that names all bad rows, the first 50 in its text, all in `.problems`."""
        if self.bad_rows:
            raise KlingManifestError(self.name, [row.text for row in self.bad_rows])


def resolve_images(row: Row | BadRow, base: str) -> Row | BadRow:
    """The row with its relative paths joined to `base`, the path or URI of the manifest's folder. Nothing is opened."""
    return replace(row, images=tuple(resolve_image(base, image) for image in row.images))


# What is a place of its own, and not one in the folder of the manifest. Files may be named `scan:1.jpg` or `~draft.jpg`.
_ABSOLUTE = re.compile(r"[/\\]|~[^/]*/|[A-Za-z][A-Za-z0-9+.\-]*://|(https?|file|data):|[A-Za-z]:[/\\]", re.IGNORECASE)


def resolve_image(base: str, image: str) -> str:
    """The source of an image with a relative path joined to `base`, the path or URI of the manifest's folder."""
    if _ABSOLUTE.match(image) or not base or is_inline(image):
        return image
    scheme, slashes, path = base.rpartition("://")
    if not slashes:
        return posixpath.join(path, image)
    # In an object store `..` would be part of a name; a file system may follow links there, so it resolves `..` itself.
    # Two slashes are a folder without a name, so they stay.
    names = path.removesuffix("/").split("/")
    for name in image.split("/"):
        if name == ".." and len(names) > 1:
            names.pop()
        elif name not in (".", ".."):
            names.append(name)
    return f"{scheme}{slashes}{'/'.join(names)}"
