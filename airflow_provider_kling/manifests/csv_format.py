"""Manifests as CSV: a header and rows, separated by comma, semicolon or tab."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterator

from airflow_provider_kling.manifests import records
from airflow_provider_kling.manifests.columns import KNOWN_COLUMNS, check_names, did_you_mean
from airflow_provider_kling.manifests.invisible import BOM, strip_invisible
from airflow_provider_kling.manifests.records import MAX_CELL, MAX_COLUMNS, BrokenManifest, Record, too_many_columns
from airflow_provider_kling.redaction import show_place

MAX_TITLE_LINES = 10  # lines above the header among which it is looked for


def csv_records(texts: Iterator[str]) -> Iterator[Record]:
    """The records of a CSV file; empty rows are skipped.

    Raises BrokenManifest for a file without a header, with a wrong header, or with a quote that is never closed.
    """
    lines = _CountedLines(texts)
    head = _first_line(lines)
    delimiter = ""
    if named := re.fullmatch(r'"?sep=(.?)"?[;,\t]*\s*', head, re.IGNORECASE):  # Excel's own first line
        delimiter, head = _named_delimiter(named[1], lines.number), _first_line(lines)
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))  # one for the whole process, so it only ever grows
    delimiter = delimiter or _delimiter(head)
    _check_first_line(head, delimiter, lines)
    lines.put_back(head)
    rows = _rows(csv.reader(lines, delimiter=delimiter, strict=True), lines)
    names = _header(*next(rows))
    for line, cells, problem in rows:
        if problem:
            yield Record(line, {}, [problem])
        elif cells and strip_invisible(cells[0]) == names[0] and list(map(strip_invisible, cells)) == names:
            yield Record(line, {}, ["It is the header once more; were two files joined? Remove the line."])
        elif any(map(strip_invisible, cells)):  # spreadsheets leave rows of mere delimiters at the end
            yield _record(line, names, cells, delimiter)


class _CountedLines:
    """Lines, with the number of the last one that was read. `size` counts characters until it is set to 0 again."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.number = 0
        self.size = 0

    def __iter__(self) -> _CountedLines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        if not self.size:  # a row begins here: a file with a byte order mark may have been joined to another one
            line = line.lstrip(BOM)
        self.number += 1
        self.size += len(line)
        if self.size > records.MAX_ROW:
            raise BrokenManifest(
                f'line {self.number}: the row here has more than {records.MAX_ROW:,} characters; is a quote (") not closed?'
            )
        return line

    def put_back(self, *lines: str) -> None:
        """Read these lines, the last ones, once more."""
        self._lines = itertools.chain(lines, self._lines)
        self.number -= len(lines)


def _rows(reader: Iterator[list[str]], lines: _CountedLines) -> Iterator[tuple[int, list[str], str]]:
    """First line, cells and problem of each row. Raises BrokenManifest for an open quote, which hides the lines after it."""
    while True:
        line = lines.number + 1
        lines.size = 0
        try:
            yield line, next(reader), ""
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise BrokenManifest(
                    f'line {line}: a quote (") opens here and is never closed; close it, or double it where it is meant.'
                ) from None
            if "field limit" in str(error):
                raise BrokenManifest(
                    f'line {line}: a cell has more than {MAX_CELL:,} characters; is a quote (") not closed?'
                ) from None
            if "new-line" in str(error):
                raise BrokenManifest(
                    f"line {line}: found a bare carriage return as line end; save the file with LF or CRLF line ends."
                ) from None
            yield line, [], 'a quoted cell goes on after its closing quote; write a quote within a cell as "".'


def _first_line(lines: _CountedLines) -> str:
    """The next line that is not empty. Raises BrokenManifest where there is none."""
    lines.size = 0
    for text in lines:
        if strip_invisible(text, also='",;'):
            return text
        lines.size = 0
    raise BrokenManifest("it is empty; wanted is a header line and rows.")


def _named_delimiter(sign: str, line: int) -> str:
    if sign not in (",", ";", "\t", "|"):
        raise BrokenManifest(f"line {line}: found sep={sign}; wanted is a comma, a semicolon, a tab or a vertical bar there.")
    return sign


def _delimiter(head: str) -> str:
    """The delimiter with which the header has the most known names, or else the most names."""

    def score(delimiter: str) -> tuple[int, int]:
        names = _plain_names(head, delimiter)
        return sum(name in KNOWN_COLUMNS for name in names), len(names)

    return max((",", ";", "\t"), key=score)


def _plain_names(head: str, delimiter: str) -> list[str]:
    return [strip_invisible(name).strip('"').lower() for name in head.split(delimiter)]


def _check_first_line(head: str, delimiter: str, lines: _CountedLines) -> None:
    """Raise BrokenManifest for a title or a comment, behind which the header follows, and for a header that is a comment."""
    is_comment, is_header = head.startswith(("#", "//")), "effect_scene" in _plain_names(head, delimiter)
    if (is_header and not is_comment) or head.count('"') % 2:
        return
    line, following = lines.number, []
    for number in range(line + 1, line + 1 + MAX_TITLE_LINES):
        lines.size = 0
        if (text := next(lines, None)) is None:
            break
        following.append(text)
        names = _plain_names(text, _delimiter(text))
        if "effect_scene" in names and {"image", "image_1", "images"} & set(names):
            what = "a comment" if is_comment else "no header"
            raise BrokenManifest(f"line {line}: this is {what}, and line {number} looks like the header; remove what is above it.")
    if is_header:
        raise BrokenManifest(f"line {line}: the header is a comment; remove the {head[0]!r} at its start.")
    lines.put_back(*following)


def _header(line: int, cells: list[str], problem: str) -> list[str]:
    """The names of the columns. Raises BrokenManifest with all that is wrong with them."""
    names = list(map(strip_invisible, cells))
    while names and not names[-1]:
        names.pop()
    shown = ", ".join(show_place(name)[:40] for name in names[:20])
    if problem:
        raise BrokenManifest(f"line {line}: {problem}")
    if len(names) > MAX_COLUMNS:
        raise BrokenManifest(f"line {line}: {too_many_columns(names)}")
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
        raise BrokenManifest(*(f"line {line}: {text}" for text in problems))
    return names


def _record(line: int, names: list[str], cells: list[str], delimiter: str) -> Record:
    columns = dict(zip(names, cells, strict=False))
    if len(cells) == len(names) or (len(cells) > len(names) and not any(cells[len(names) :])):
        return Record(line, columns)
    hint = f"quote a value that holds a {delimiter!r}." if len(cells) > len(names) else "an empty value needs its delimiter too."
    return Record(line, columns, [f"It has {len(cells)} fields; wanted are {len(names)}, as in the header: {hint}"])
