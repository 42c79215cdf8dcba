"""Manifests: rows in, each of them a request or the reasons why it is none. Pure: lines of bytes come from the caller.

Formats are CSV (`.csv`; comma, semicolon or tab, as the header has it), JSON Lines (`.jsonl`, `.ndjson`) and JSON
(`.json`, a list of objects), all UTF-8 with or without a BOM. CSV and JSON Lines are read as a stream.

Columns: `effect_scene`; `image`, or `image_1` and `image_2`, or `images` (a list; as text a JSON list, or values
separated by `|`); `id` (optional, unique; without one it is the number of the row, counted from 1). Further columns are
carried to the results untouched.
"""

from __future__ import annotations

import functools
import heapq
import json
import math
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_kling.api import EffectRequest, scenes
from airflow_provider_kling.errors import KlingInputError, KlingManifestError
from airflow_provider_kling.manifests.columns import (
    IMAGE_COLUMNS,
    KNOWN_COLUMNS,
    MAX_SCENE,
    RESULT_COLUMNS,
    check_names,
    did_you_mean,
    kind_of,
)
from airflow_provider_kling.manifests.formats import FORMATS, Broken, Record, format_of, read_records
from airflow_provider_kling.manifests.images import holds_image, is_inline, label

__all__ = [
    "FORMATS",
    "IMAGE_COLUMNS",
    "KNOWN_COLUMNS",
    "RESULT_COLUMNS",
    "BadRow",
    "Manifest",
    "Row",
    "format_of",
    "parse_rows",
    "read_rows",
    "resolve_images",
]

MAX_ID = 200  # characters
MAX_DEPTH = 50  # levels of lists and objects in a JSON column
MAX_WARNINGS = 50
MAX_FAULTS = 3  # of the images of one row

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # and halves of surrogate pairs, which are no UTF-8
_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # base64 may have line ends
_SOME_URL = "https://example.com/image.jpg"  # stands for any image where only their number counts

Warn = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a row stands: the line of the file it begins in (from 1), and its number among the rows (from 1)."""

    line: int
    number: int
    id: str
    columns: Mapping[str, Any] = field(repr=False)
    """The row as found, without `id`; images written out as base64 are replaced by their size."""

    @property
    def place(self) -> str:
        """For a person: `line 7, id 'a'`, or `line 7, row 6` where it has no id of its own."""
        return f"line {self.line}, " + (f"row {self.number}" if self.id == str(self.number) else f"id {self.id!r}")


@dataclass(frozen=True, kw_only=True)
class Row(_Place):
    """A row that may work. `images` holds one or two sources for `images.load_image`, not looked at yet."""

    effect_scene: str
    images: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class BadRow(_Place):
    """A row that cannot work, and why: one sentence for each problem."""

    problems: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"{self.place}: {' '.join(self.problems)}"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A whole manifest: its good rows, its bad rows, and what a person should know about it."""

    name: str
    rows: tuple[Row, ...]
    bad_rows: tuple[BadRow, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def all_rows(self) -> Iterator[Row | BadRow]:
        """Good and bad rows, in the order of the file."""
        return heapq.merge(self.rows, self.bad_rows, key=lambda row: row.number)

    def raise_for_problems(self) -> None:
        """Raise one KlingManifestError that names all bad rows, the first 50 in its text, all in `.problems`."""
        if self.bad_rows:
            raise KlingManifestError(self.name, [row.text for row in self.bad_rows])


def parse_rows(
    lines: Iterable[bytes], *, name: str, format: str | None = None, strict: bool = False, warn: Warn | None = None
) -> Iterator[Row | BadRow]:
    """The rows of a manifest one after the other, in its order.

    `lines` are as a file opened in binary mode gives them; `name` is the file's path or URI, whose suffix tells the format
    unless `format` does (csv, jsonl, json). `warn` is called with each sentence worth a warning, once. With `strict`,
    a scene that is unknown or discontinued makes a BadRow instead of a warning.
    Raises KlingManifestError where rows cannot be told apart at all: at once for an unknown format, while reading for a
    file that is empty, not UTF-8, or has the wrong columns.
    """
    records = read_records(lines, format_of(name, format))
    return _rows(records, name=label(name), checker=_Checker(strict=strict, warn=warn))


def read_rows(lines: Iterable[bytes], *, name: str, format: str | None = None, strict: bool = False) -> Manifest:
    """The whole manifest at once; see `parse_rows`."""
    warnings: list[str] = []
    rows: list[Row] = []
    bad: list[BadRow] = []
    for row in parse_rows(lines, name=name, format=format, strict=strict, warn=warnings.append):
        if isinstance(row, Row):
            rows.append(row)
        else:
            bad.append(row)
    return Manifest(name=label(name), rows=tuple(rows), bad_rows=tuple(bad), warnings=tuple(warnings))


def resolve_images(row: Row, base: str) -> Row:
    """The row with its relative paths joined to `base`, the path or URI of the manifest's folder; a pure matter of text."""
    return replace(row, images=tuple(_joined(base, image) for image in row.images))


def _joined(base: str, image: str) -> str:
    absolute = image.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z][A-Za-z0-9+.\-]*:", image)
    if absolute or not base or is_inline(image):
        return image
    scheme, slashes, path = base.rpartition("://")
    # An object store takes `..` for a name; a file system may follow links there, so it is left to resolve it.
    joined = posixpath.join(path, image)
    return f"{scheme}{slashes}{posixpath.normpath(joined)}" if slashes else joined


# --- Checks of one row -----------------------------------------------------------------------------------------


def _rows(records: Iterator[Record], *, name: str, checker: _Checker) -> Iterator[Row | BadRow]:
    try:
        for record in records:
            yield checker.check(record)
        if not checker.count:
            raise Broken("it holds no rows; wanted is at least one.")
    except Broken as error:
        raise KlingManifestError(name, error.problems) from None


class _Checker:
    """Turns records into rows. It remembers ids as 64-bit hashes, and which warnings were given."""

    def __init__(self, *, strict: bool, warn: Warn | None) -> None:
        self.count = 0
        self._strict = strict
        self._warn = warn or (lambda _: None)
        self._warned: set[str] = set()
        self._lines: dict[int, int] = {}  # hash of an id → the line that has it; negative where it is the row's number

    def check(self, record: Record) -> Row | BadRow:
        self.count += 1
        columns = dict(record.columns)
        problems = [*record.problems]
        row_id = self._id(columns.pop("id", None), record.line, problems)
        scene = ""
        images: tuple[str, ...] = ()
        if not record.problems:
            faults, warnings = check_names(tuple(record.columns))
            problems += faults
            self._tell(warnings)
            images = _images(columns, problems)
            scene = self._scene(columns, len(images), problems)
        try:
            shown = {name: _shown(value, source=name in IMAGE_COLUMNS) for name, value in columns.items()}
        except ValueError as error:
            problems, shown = [*problems, str(error)], {}
        if problems:
            return BadRow(line=record.line, number=self.count, id=row_id, columns=shown, problems=tuple(problems))
        return Row(line=record.line, number=self.count, id=row_id, columns=shown, effect_scene=scene, images=images)

    def _id(self, value: Any, line: int, problems: list[str]) -> str:
        number = str(self.count)
        endless = isinstance(value, float) and not math.isfinite(value)
        if endless or isinstance(value, bool) or not isinstance(value, str | int | float | None):
            problems.append(f"id is {kind_of(value)}; wanted is a text.")
            return number
        text = "" if value is None else str(value).strip()
        if len(text) > MAX_ID or _CONTROL.search(text):
            found = f"has {len(text):,} characters" if len(text) > MAX_ID else f"{text!r} has control characters"
            problems.append(f"id {found}; wanted are at most {MAX_ID} printable ones.")
            return number
        if problems and not text:  # no row at all: it takes no id from others
            return number
        key = hash(text or number)
        if key in self._lines:
            problems.append(_taken(text, number, self._lines[key]))
        else:
            self._lines[key] = line if text else -line
        return text or number

    def _scene(self, columns: Mapping[str, Any], images: int, problems: list[str]) -> str:
        value = columns.get("effect_scene")
        if value is None or (isinstance(value, str) and not value.strip()):
            near = "" if "effect_scene" in columns else did_you_mean("effect_scene", columns)
            problems.append(f"effect_scene is empty; wanted is the name of a scene, like 'pet_lion_pro'.{near}")
            return ""
        if not isinstance(value, str) or len(value) > MAX_SCENE or _CONTROL.search(value.strip()):
            found = (
                kind_of(value) if not isinstance(value, str) else f"a text of {len(value):,} characters, or with control characters"
            )
            problems.append(f"effect_scene is {found}; wanted is the name of a scene, like 'pet_lion_pro'.")
            return ""
        scene = value.strip()
        problem, warnings = _request(scene, images)
        if problem:
            problems.append(problem)
        elif self._strict:
            problems += warnings
        else:
            self._tell(warnings)
        return scene

    def _tell(self, warnings: Sequence[str]) -> None:
        for text in warnings:
            if text not in self._warned and len(self._warned) <= MAX_WARNINGS:
                self._warned.add(text)
                self._warn(text if len(self._warned) <= MAX_WARNINGS else "There are more warnings of this kind.")


def _taken(text: str, number: str, first: int) -> str:
    if not text:
        return f"It has no id, and its number {number} is the id of line {abs(first)}; give it one."
    owner = f"by line {first}" if first > 0 else f"as its number by line {-first}, which has no id"
    return f"id {text!r} is taken already {owner}; wanted is one of its own."


@functools.lru_cache(maxsize=1024)
def _request(scene: str, images: int) -> tuple[str, tuple[str, ...]]:
    """What is wrong with a request for the scene, and the warnings about it. Without images (0), only the warnings."""
    known = scenes().get(scene)
    try:
        request = EffectRequest(scene, (_SOME_URL,) * (images or (known.images if known else 1)))
    except KlingInputError as error:
        return str(error), ()
    return "", tuple(request.check_scene())


def _images(columns: Mapping[str, Any], problems: list[str]) -> tuple[str, ...]:
    """The image sources of a row; an empty tuple where there are problems."""
    filled = {name: columns[name] for name in IMAGE_COLUMNS if not _empty(columns.get(name))}
    if not filled:
        near = "" if any(name in columns for name in IMAGE_COLUMNS) else did_you_mean("image", columns)
        problems.append(f"image is empty; wanted is a URL, a path or base64 in image, or two in image_1 and image_2.{near}")
        return ()
    if len(filled) > 1 and set(filled) != {"image_1", "image_2"}:
        problems.append(f"{' and '.join(list(filled)[:2])} are both filled; wanted is image, or image_1 and image_2, or images.")
        return ()
    if set(filled) == {"image_2"}:
        problems.append("image_2 is filled, but image_1 is empty; wanted is the left image in image_1, or one image in image.")
        return ()
    values = _listed(filled["images"]) if "images" in filled else filled
    if values is None:
        problems.append(
            f'images is {kind_of(filled["images"])}; wanted is a list, like ["left.jpg", "right.jpg"] or left.jpg|right.jpg.'
        )
        return ()
    faults = [fault for name, value in values.items() if (fault := _image_fault(name, value))][:MAX_FAULTS]
    problems += faults
    return () if faults else tuple(value.strip() for value in values.values())


def _image_fault(name: str, value: Any) -> str:
    if not isinstance(value, str):
        return f"{name} is {kind_of(value)}; wanted is a URL, a path or base64 as text."
    if not value.strip():
        return f"{name} is empty; wanted is a URL, a path or base64."
    if (_NO_TEXT if is_inline(value) else _CONTROL).search(value.strip()):
        return f"{name} has control characters; wanted is a URL, a path or base64."
    return ""


def _listed(value: Any) -> dict[str, Any] | None:
    """The items of `images`, named by their place; None for what is no list."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.lstrip().startswith("[") else value.split("|")
        except (ValueError, RecursionError):
            return None
    return {f"images[{index}]": item for index, item in enumerate(value)} if isinstance(value, list) else None


def _empty(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _shown(value: Any, *, source: bool, depth: int = 0) -> Any:
    """A column as it goes to the results: untouched, but for images written out. ValueError for what no JSON can hold."""
    if isinstance(value, str):
        return label(value) if (is_inline(value) if source else holds_image(value)) else value
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("A column holds a number too large for JSON; wanted is a finite one, or a text.")
    if isinstance(value, list | dict):
        if depth == MAX_DEPTH:
            raise ValueError(f"A column is nested more than {MAX_DEPTH} levels deep; wanted are plain values.")
        if isinstance(value, list):
            return [_shown(item, source=source, depth=depth + 1) for item in value]
        return {name: _shown(item, source=source, depth=depth + 1) for name, item in value.items()}
    return value
