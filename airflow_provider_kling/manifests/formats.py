"""The formats of a manifest: lines of bytes to records, as a stream but for `.json`. What a record means is for `manifest`."""

from __future__ import annotations

import csv
import itertools
import json
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from airflow_provider_kling.errors import KlingManifestError
from airflow_provider_kling.manifests.columns import KNOWN_COLUMNS, check_names, did_you_mean, kind_of
from airflow_provider_kling.manifests.images import label

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json"}
MAX_CELL = 32 * 1024 * 1024  # characters: two images of 10 MB in base64, and some room
MAX_ROW = 64 * 1024 * 1024  # bytes of a line, characters of a row
MAX_JSON = 128 * 1024 * 1024  # bytes of a list, which is read as a whole
MAX_COLUMNS = 1000
_NOT_TEXT = (
    (b"PK\3\4", "an Excel workbook or ZIP"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


class Record(NamedTuple):
    """What a reader found: the line it began in, its columns, and what is wrong with it as a record."""

    line: int
    columns: Mapping[str, Any]
    problems: Sequence[str] = ()


class Broken(Exception):
    """The rows cannot be told apart."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems


def format_of(name: str, format: str | None = None) -> str:
    """`csv`, `jsonl` or `json`; KlingManifestError for any other."""
    if format is not None:
        if format.lower() not in FORMATS.values():
            known = ", ".join(dict.fromkeys(FORMATS.values()))
            raise KlingManifestError(label(name), [f"format is {format!r}; wanted is one of {known}."])
        return format.lower()
    path = urlsplit(name).path if "://" in name else name
    suffix = posixpath.splitext(path)[1]
    if suffix.lower() not in FORMATS:
        found = f"its name ends in {suffix!r}" if suffix else "its name has no suffix"
        raise KlingManifestError(label(name), [f"{found}; wanted is one of {', '.join(FORMATS)}, or say format='csv'."])
    return FORMATS[suffix.lower()]


def read_records(lines: Iterable[bytes], format: str) -> Iterator[Record]:
    """The records of a manifest in this format; Broken where they cannot be told apart, or one of them has no end."""
    if format == "json":
        return _json_records(_decoded(_limited(lines), most=MAX_JSON))
    return (_csv_records if format == "csv" else _jsonl_records)(_decoded(lines, most=MAX_ROW))


def _limited(lines: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for line in lines:
        size += len(line)
        if size > MAX_JSON:
            raise Broken(f"it has more than {MAX_JSON:,} bytes, and a list is read as a whole; save it as JSON Lines (.jsonl).")
        yield line


def _decoded(lines: Iterable[bytes], *, most: int) -> Iterator[str]:
    """Lines of text; no line of UTF-8 ends within a character."""
    for number, raw in enumerate(lines, 1):
        if len(raw) > most:
            raise Broken(f"line {number}: it has more than {most:,} bytes; wanted is a text of lines, one for each row.")
        line = raw
        if number == 1:
            for start, kind in _NOT_TEXT:
                if line.startswith(start):
                    raise Broken(f"line 1: found {kind}; wanted is text: save it as UTF-8.")
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = error.start + 1 + len(raw) - len(line)
            raise Broken(
                f"line {number}, byte {byte}: found 0x{line[error.start]:02x}, which is not UTF-8; save the file as UTF-8."
            ) from None
        if "\0" in text:
            raise Broken(f"line {number}: found a NUL character, as in UTF-16 or a binary file; save the file as UTF-8.")
        yield text


class _Counted:
    """Lines, with the number of the last one that was taken; one can be put back. `size` is reset by who begins a row."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.number = 0
        self.size = 0

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        self.size += len(line)
        if self.size > MAX_ROW:
            raise Broken(f'line {self.number}: the row here has more than {MAX_ROW:,} characters; is a quote (") not closed?')
        return line

    def put_back(self, line: str) -> None:
        self._lines = itertools.chain([line], self._lines)
        self.number -= 1


def _csv_records(texts: Iterator[str]) -> Iterator[Record]:
    lines = _Counted(texts)
    head = next((text for text in lines if text.strip(' \t\r\n",;')), None)
    if head is None:
        raise Broken("it is empty; wanted is a header line and rows.")
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))  # one for the whole process, so it only ever grows
    delimiter = _delimiter(head)
    lines.put_back(head)
    records = _cells(csv.reader(lines, delimiter=delimiter, strict=True), lines)
    names = _header(*next(records))
    for line, cells, problem in records:
        if problem:
            yield Record(line, {}, [problem])
        elif any(cell.strip() for cell in cells):  # spreadsheets leave rows of mere delimiters at the end
            yield _fields(line, names, cells, delimiter)


def _cells(reader: Iterator[list[str]], lines: _Counted) -> Iterator[tuple[int, list[str], str]]:
    """Line, cells and problem of each record. An open quote swallows lines unseen, so it ends the reading."""
    while True:
        line = lines.number + 1
        lines.size = 0
        try:
            yield line, next(reader), ""
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise Broken(
                    f'line {line}: a quote (") opens here and is never closed; close it, or double it where it is meant.'
                ) from None
            if "field limit" in str(error):
                raise Broken(f'line {line}: a cell has more than {MAX_CELL:,} characters; is a quote (") not closed?') from None
            if "new-line" in str(error):
                raise Broken(
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
        raise Broken(f"line {line}: {problem}")
    if len(names) > MAX_COLUMNS:
        raise Broken(f"line {line}: {_too_many(names)}")
    problems = [f"column {index} has no name." for index, name in enumerate(names, 1) if not name]
    times = Counter(filter(None, names))
    problems += [f"column {name[:40]!r} stands {count} times; wanted is each once." for name, count in times.items() if count > 1]
    problems += check_names(tuple(names))[0]
    if "effect_scene" not in names:
        problems.append(f"column 'effect_scene' is missing; found {shown}.{did_you_mean('effect_scene', names)}")
    if not {"image", "image_1", "images"} & set(names):
        problems.append(
            f"column 'image' (or image_1 and image_2, or images) is missing; found {shown}.{did_you_mean('image', names)}"
        )
    if problems:
        raise Broken(*(f"line {line}: {text}" for text in problems))
    return names


def _too_many(names: Sized) -> str:
    return f"{len(names):,} columns; wanted are at most {MAX_COLUMNS:,}."


def _fields(line: int, names: list[str], cells: list[str], delimiter: str) -> Record:
    columns = dict(zip(names, cells, strict=False))
    if len(cells) == len(names) or (len(cells) > len(names) and not any(cells[len(names) :])):
        return Record(line, columns)
    hint = f"quote a value that holds a {delimiter!r}." if len(cells) > len(names) else "an empty value needs its delimiter too."
    return Record(line, columns, [f"It has {len(cells)} fields; wanted are {len(names)}, as in the header: {hint}"])


class _Json:
    """A JSON decoder that notes what Python would take in silence: keys that stand twice, and NaN."""

    def __init__(self) -> None:
        self._faults: list[str] = []
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=self._constant)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
            self._faults.append(f"The key {twice[:40]!r} stands twice; wanted is each once.")
        return found

    def _constant(self, name: str) -> None:
        self._faults.append(f"It holds {name}, which is no JSON; wanted is a number or null.")

    def decode(self, text: str, start: int, line: int) -> tuple[Record, int]:
        """The value at `start` as a record, and where it ends; ValueError or RecursionError for what is no JSON."""
        self._faults.clear()
        value, end = self._decoder.raw_decode(text, start)
        if not isinstance(value, dict):
            return Record(line, {}, [f"It is {kind_of(value)}; wanted is an object with effect_scene and image."]), end
        if len(value) > MAX_COLUMNS:
            return Record(line, {}, [f"It has {_too_many(value)}"]), end
        return Record(line, value, tuple(self._faults)), end


_JSON_SPACE = " \t\r\n"


def _jsonl_records(texts: Iterator[str]) -> Iterator[Record]:
    decoder = _Json()
    seen = False
    for number, line in enumerate(texts, 1):
        text = line.strip(_JSON_SPACE)
        if not text:
            continue
        if not seen and text.startswith("["):
            raise Broken(f"line {number}: found a list; wanted is one object per line, or a name that ends in .json.")
        seen = True
        try:
            record, end = decoder.decode(text, 0, number)
            if end < len(text):
                record = Record(number, {}, [f"It goes on after its object, at column {end + 1}; wanted is one object per line."])
        except (ValueError, RecursionError) as error:
            record = Record(number, {}, [f"It is not valid JSON: {_json_fault(error)}."])
        yield record
    if not seen:
        raise Broken("it is empty; wanted is one JSON object per line.")


def _json_records(texts: Iterator[str]) -> Iterator[Record]:
    text = "".join(texts)
    position, decoder, line, counted = _skip(text, 0), _Json(), 1, 0
    if position == len(text):
        raise Broken("it is empty; wanted is a list of objects.")
    if text[position] != "[":
        found = "an object" if text[position] == "{" else "no list"
        raise Broken(f"found {found}; wanted is a list of objects, [{{…}}, {{…}}]. Objects line by line belong in a .jsonl file.")
    position = _skip(text, position + 1)
    for index in itertools.count():
        if text[position : position + 1] == "]" and index == 0:
            break
        line, counted = line + text.count("\n", counted, position), position
        try:
            record, position = decoder.decode(text, position, line)
        except (ValueError, RecursionError) as error:
            raise Broken(f"it is not valid JSON: {_json_fault(error, line)}.") from None
        yield record
        position = _skip(text, position)
        mark = text[position : position + 1]
        if mark == "]":
            break
        if mark != ",":
            line += text.count("\n", counted, position)
            raise Broken(
                f"it is not valid JSON: after item {index + 1}, line {line}, a comma or ] is missing; is the file cut off?"
            )
        position = _skip(text, position + 1)
    if _skip(text, position + 1) < len(text):
        raise Broken("it goes on after its list; wanted is one list of objects.")


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
