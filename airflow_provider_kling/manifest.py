"""Manifests: rows in, each of them a request or the reasons why it is none. Pure: lines of bytes come from the caller.

Formats are CSV (`.csv`; comma, semicolon or tab, as the header has it), JSON Lines (`.jsonl`, `.ndjson`) and JSON
(`.json`, a list of objects), all UTF-8 with or without a BOM. CSV and JSON Lines are read as a stream.

Columns: `effect_scene`; `image`, or `image_1` and `image_2`, or `images` (a list; as text a JSON list, or values
separated by `|`); `id` (optional, unique; without one it is the number of the row, counted from 1). Further columns are
carried to the results untouched.
"""

from __future__ import annotations

import csv
import difflib
import functools
import heapq
import itertools
import json
import math
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from airflow_provider_kling.effects import EffectRequest, scenes
from airflow_provider_kling.errors import KlingInputError, KlingManifestError
from airflow_provider_kling.images import holds_image, is_inline, label

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json"}
IMAGE_COLUMNS = ("image", "image_1", "image_2", "images")
KNOWN_COLUMNS = ("id", "effect_scene", *IMAGE_COLUMNS)
# What the results say about a row, in their order; no column of a manifest may have one of these names.
RESULT_COLUMNS = ("kling_task_id", "external_task_id", "status", "message", "videos", "units", "created_at", "updated_at", "error")

MAX_ID = 200  # characters
MAX_SCENE = 100  # characters; the longest known name has 35
MAX_CELL = 32 * 1024 * 1024  # characters: two images of 10 MB in base64, and some room
MAX_DEPTH = 50  # levels of lists and objects in a JSON column
MAX_WARNINGS = 50

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # and halves of surrogate pairs, which are no UTF-8
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
    read = _READERS[format_of(name, format)]
    return _rows(read(_decoded(lines)), name=label(name), checker=_Checker(strict=strict, warn=warn))


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


def format_of(name: str, format: str | None = None) -> str:
    """`csv`, `jsonl` or `json`; KlingManifestError for any other."""
    if format is not None:
        if format.lower() not in _READERS:
            raise KlingManifestError(label(name), [f"format is {format!r}; wanted is one of {', '.join(_READERS)}."])
        return format.lower()
    path = urlsplit(name).path if "://" in name else name
    suffix = posixpath.splitext(path)[1]
    if suffix.lower() not in FORMATS:
        found = f"its name ends in {suffix!r}" if suffix else "its name has no suffix"
        raise KlingManifestError(label(name), [f"{found}; wanted is one of {', '.join(FORMATS)}, or say format='csv'."])
    return FORMATS[suffix.lower()]


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


class _Record(NamedTuple):
    """What a reader found: the line it began in, its columns, and what is wrong with it as a record."""

    line: int
    columns: Mapping[str, Any]
    problems: Sequence[str] = ()


class _Broken(Exception):
    """The rows cannot be told apart."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems


def _rows(records: Iterator[_Record], *, name: str, checker: _Checker) -> Iterator[Row | BadRow]:
    try:
        for record in records:
            yield checker.check(record)
        if not checker.count:
            raise _Broken("it holds no rows; wanted is at least one.")
    except _Broken as error:
        raise KlingManifestError(name, error.problems) from None


class _Checker:
    """Turns records into rows. It remembers ids as 64-bit hashes, and which warnings were given."""

    def __init__(self, *, strict: bool, warn: Warn | None) -> None:
        self.count = 0
        self._strict = strict
        self._warn = warn or (lambda _: None)
        self._warned: set[str] = set()
        self._lines: dict[int, int] = {}  # hash of an id → the line that has it; negative where it is the row's number

    def check(self, record: _Record) -> Row | BadRow:
        self.count += 1
        columns = dict(record.columns)
        problems = [*record.problems]
        row_id = self._id(columns.pop("id", None), record.line, problems)
        scene = ""
        images: tuple[str, ...] = ()
        if not record.problems:
            faults, warnings = _names(tuple(record.columns))
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
        if isinstance(value, bool) or not isinstance(value, str | int | float | None):
            problems.append(f"id is {_kind(value)}; wanted is a text.")
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
            near = "" if "effect_scene" in columns else _did_you_mean("effect_scene", columns)
            problems.append(f"effect_scene is empty; wanted is the name of a scene, like 'pet_lion_pro'.{near}")
            return ""
        if not isinstance(value, str) or len(value) > MAX_SCENE or _CONTROL.search(value.strip()):
            found = (
                _kind(value) if not isinstance(value, str) else f"a text of {len(value):,} characters, or with control characters"
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


@functools.lru_cache(maxsize=256)
def _names(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Problems of a row's column names that hold for any row, and warnings about names that look like a known one."""
    problems = tuple(
        f"Column {name!r} has a name that the results use themselves; rename it." for name in names if name in RESULT_COLUMNS
    )
    warnings = []
    for name in names:
        if name not in KNOWN_COLUMNS and name not in RESULT_COLUMNS and len(name) <= MAX_SCENE:
            near = [known for known in difflib.get_close_matches(name.lower(), KNOWN_COLUMNS, cutoff=0.8) if known not in names]
            if near:
                warnings.append(f"Column {name!r} is carried through to the results unread; did you mean {near[0]!r}?")
    return problems, tuple(warnings)


def _images(columns: Mapping[str, Any], problems: list[str]) -> tuple[str, ...]:
    """The image sources of a row; an empty tuple where there are problems."""
    filled = {name: columns[name] for name in IMAGE_COLUMNS if not _empty(columns.get(name))}
    if not filled:
        near = "" if any(name in columns for name in IMAGE_COLUMNS) else _did_you_mean("image", columns)
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
            f'images is {_kind(filled["images"])}; wanted is a list, like ["left.jpg", "right.jpg"] or left.jpg|right.jpg.'
        )
        return ()
    faults = [fault for name, value in values.items() if (fault := _image_fault(name, value))]
    problems += faults
    return () if faults else tuple(value.strip() for value in values.values())


def _image_fault(name: str, value: Any) -> str:
    if not isinstance(value, str):
        return f"{name} is {_kind(value)}; wanted is a URL, a path or base64 as text."
    if not value.strip():
        return f"{name} is empty; wanted is a URL, a path or base64."
    if not is_inline(value) and _CONTROL.search(value.strip()):
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


def _kind(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"a number ({str(value)[:40]})"
    kinds = {bool: "true or false", str: "a text", list: "a list", dict: "an object"}
    return kinds.get(type(value), "null")


def _did_you_mean(wanted: str, names: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in names if len(name) <= MAX_SCENE}
    near = difflib.get_close_matches(wanted, by_lower, n=1, cutoff=0.55)
    return f" Did you mean column {by_lower[near[0]]!r}?" if near else ""


# --- Readers: lines to records ---------------------------------------------------------------------------------

_NOT_TEXT = (
    (b"PK\3\4", "an Excel workbook or ZIP"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    """Lines of text; no line of UTF-8 ends within a character."""
    for number, raw in enumerate(lines, 1):
        line = raw
        if number == 1:
            for start, kind in _NOT_TEXT:
                if line.startswith(start):
                    raise _Broken(f"line 1: found {kind}; wanted is text: save it as UTF-8.")
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = error.start + 1 + len(raw) - len(line)
            raise _Broken(
                f"line {number}, byte {byte}: found 0x{line[error.start]:02x}, which is not UTF-8; save the file as UTF-8."
            ) from None
        if "\0" in text:
            raise _Broken(f"line {number}: found a NUL character, as in UTF-16 or a binary file; save the file as UTF-8.")
        yield text


class _Counted:
    """Lines, with the number of the last one that was taken; one can be put back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.number = 0

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        return line

    def put_back(self, line: str) -> None:
        self._lines = itertools.chain([line], self._lines)
        self.number -= 1


def _csv_records(texts: Iterator[str]) -> Iterator[_Record]:
    lines = _Counted(texts)
    head = next((text for text in lines if text.strip(' \t\r\n",;')), None)
    if head is None:
        raise _Broken("it is empty; wanted is a header line and rows.")
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))  # one for the whole process, so it only ever grows
    delimiter = _delimiter(head)
    lines.put_back(head)
    records = _cells(csv.reader(lines, delimiter=delimiter, strict=True), lines)
    names = _header(*next(records))
    for line, cells, problem in records:
        if problem:
            yield _Record(line, {}, [problem])
        elif any(cell.strip() for cell in cells):  # spreadsheets leave rows of mere delimiters at the end
            yield _fields(line, names, cells, delimiter)


def _cells(reader: Iterator[list[str]], lines: _Counted) -> Iterator[tuple[int, list[str], str]]:
    """Line, cells and problem of each record. An open quote swallows lines unseen, so it ends the reading."""
    while True:
        line = lines.number + 1
        try:
            yield line, next(reader), ""
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise _Broken(
                    f'line {line}: a quote (") opens here and is never closed; close it, or double it where it is meant.'
                ) from None
            if "field limit" in str(error):
                raise _Broken(f'line {line}: a cell has more than {MAX_CELL:,} characters; is a quote (") not closed?') from None
            if "new-line" in str(error):
                raise _Broken(
                    f"line {line}: found a bare carriage return as line end; save the file with LF or CRLF line ends."
                ) from None
            yield line, [], 'a quoted cell goes on after its closing quote; write a quote within a cell as "".'


def _delimiter(head: str) -> str:
    """The one under which the header has the most known names."""

    def score(delimiter: str) -> tuple[int, int]:
        names = [name.strip().strip('"') for name in head.split(delimiter)]
        return sum(name.lower() in KNOWN_COLUMNS for name in names), len(names)

    return max((",", ";", "\t"), key=score)


def _header(line: int, cells: list[str], problem: str) -> list[str]:
    names = [name.strip() for name in cells]
    while names and not names[-1]:
        names.pop()
    shown = ", ".join(label(name)[:40] for name in names[:20])
    if problem:
        raise _Broken(f"line {line}: {problem}")
    problems = [f"column {index} has no name." for index, name in enumerate(names, 1) if not name]
    twice = dict.fromkeys(name for name in names if name and names.count(name) > 1)
    problems += [f"column {name[:40]!r} stands {names.count(name)} times; wanted is each once." for name in twice]
    problems += _names(tuple(names))[0]
    if "effect_scene" not in names:
        problems.append(f"column 'effect_scene' is missing; found {shown}.{_did_you_mean('effect_scene', names)}")
    if not {"image", "image_1", "images"} & set(names):
        problems.append(
            f"column 'image' (or image_1 and image_2, or images) is missing; found {shown}.{_did_you_mean('image', names)}"
        )
    if problems:
        raise _Broken(*(f"line {line}: {text}" for text in problems))
    return names


def _fields(line: int, names: list[str], cells: list[str], delimiter: str) -> _Record:
    columns = dict(zip(names, cells, strict=False))
    if len(cells) == len(names) or (len(cells) > len(names) and not any(cells[len(names) :])):
        return _Record(line, columns)
    hint = f"quote a value that holds a {delimiter!r}." if len(cells) > len(names) else "an empty value needs its delimiter too."
    return _Record(line, columns, [f"It has {len(cells)} fields; wanted are {len(names)}, as in the header: {hint}"])


class _Json:
    """A JSON decoder that notes what Python would take in silence: keys that stand twice, and NaN."""

    def __init__(self) -> None:
        self._faults: list[str] = []
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=self._constant)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            self._faults.append(f"The key {twice[:40]!r} stands twice; wanted is each once.")
        return found

    def _constant(self, name: str) -> None:
        self._faults.append(f"It holds {name}, which is no JSON; wanted is a number or null.")

    def decode(self, text: str, start: int, line: int) -> tuple[_Record, int]:
        """The value at `start` as a record, and where it ends; ValueError or RecursionError for what is no JSON."""
        self._faults.clear()
        value, end = self._decoder.raw_decode(text, start)
        if not isinstance(value, dict):
            return _Record(line, {}, [f"It is {_kind(value)}; wanted is an object with effect_scene and image."]), end
        return _Record(line, value, tuple(self._faults)), end


_JSON_SPACE = " \t\r\n"


def _jsonl_records(texts: Iterator[str]) -> Iterator[_Record]:
    decoder = _Json()
    seen = False
    for number, line in enumerate(texts, 1):
        text = line.strip(_JSON_SPACE)
        if not text:
            continue
        if not seen and text.startswith("["):
            raise _Broken(f"line {number}: found a list; wanted is one object per line, or a name that ends in .json.")
        seen = True
        try:
            record, end = decoder.decode(text, 0, number)
            if end < len(text):
                record = _Record(number, {}, [f"It goes on after its object, at column {end + 1}; wanted is one object per line."])
        except (ValueError, RecursionError) as error:
            record = _Record(number, {}, [f"It is not valid JSON: {_json_fault(error)}."])
        yield record
    if not seen:
        raise _Broken("it is empty; wanted is one JSON object per line.")


def _json_records(texts: Iterator[str]) -> Iterator[_Record]:
    text = "".join(texts)
    position, decoder, line, counted = _skip(text, 0), _Json(), 1, 0
    if position == len(text):
        raise _Broken("it is empty; wanted is a list of objects.")
    if text[position] != "[":
        found = "an object" if text[position] == "{" else "no list"
        raise _Broken(f"found {found}; wanted is a list of objects, [{{…}}, {{…}}]. Objects line by line belong in a .jsonl file.")
    position = _skip(text, position + 1)
    for index in itertools.count():
        if text[position : position + 1] == "]" and index == 0:
            break
        line, counted = line + text.count("\n", counted, position), position
        try:
            record, position = decoder.decode(text, position, line)
        except (ValueError, RecursionError) as error:
            raise _Broken(f"it is not valid JSON: {_json_fault(error, line)}.") from None
        yield record
        position = _skip(text, position)
        mark = text[position : position + 1]
        if mark == "]":
            break
        if mark != ",":
            line += text.count("\n", counted, position)
            raise _Broken(
                f"it is not valid JSON: after item {index + 1}, line {line}, a comma or ] is missing; is the file cut off?"
            )
        position = _skip(text, position + 1)
    if _skip(text, position + 1) < len(text):
        raise _Broken("it goes on after its list; wanted is one list of objects.")


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _JSON_SPACE:
        position += 1
    return position


def _json_fault(error: ValueError | RecursionError, line: int | None = None) -> str:
    if isinstance(error, json.JSONDecodeError):
        where = f"column {error.colno}" if line is None else f"line {error.lineno}, column {error.colno}"
        return f"{error.msg} at {where}"
    what = "it is nested too deeply" if isinstance(error, RecursionError) else "a number has too many digits"
    return what if line is None else f"{what}, line {line}"


_READERS: dict[str, Callable[[Iterator[str]], Iterator[_Record]]] = {
    "csv": _csv_records,
    "jsonl": _jsonl_records,
    "json": _json_records,
}
