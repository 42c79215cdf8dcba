"""Manifests as CSV: a header and rows, separated by comma, semicolon or tab."""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterator

from airflow_provider_kling.manifests import records
from airflow_provider_kling.manifests.columns import KNOWN_COLUMNS, check_names, did_you_mean
from airflow_provider_kling.manifests.records import MAX_CELL, MAX_COLUMNS, BrokenManifest, Record, too_many_columns
from airflow_provider_kling.redaction import show_place


def csv_records(texts: Iterator[str]) -> Iterator[Record]:
    """The records of a CSV file; empty rows are skipped.

    Raises BrokenManifest for a file without a header, with a wrong header, or with a quote that is never closed.
    """
    lines = _CountedLines(texts)
    head = next((text for text in lines if text.strip(' \t\r\n",;')), None)
    if head is None:
        raise BrokenManifest("it is empty; wanted is a header line and rows.")
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))  # one for the whole process, so it only ever grows
    delimiter = _delimiter(head)
    lines.put_back(head)
    rows = _rows(csv.reader(lines, delimiter=delimiter, strict=True), lines)
    names = _header(*next(rows))
    for line, cells, problem in rows:
        if problem:
            yield Record(line, {}, [problem])
        elif any(cell.strip() for cell in cells):  # spreadsheets leave rows of mere delimiters at the end
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
        self.number += 1
        self.size += len(line)
        if self.size > records.MAX_ROW:
            raise BrokenManifest(
                f'line {self.number}: the row here has more than {records.MAX_ROW:,} characters; is a quote (") not closed?'
            )
        return line

    def put_back(self, line: str) -> None:
        """Read this line, the last one, once more."""
        self._lines = itertools.chain([line], self._lines)
        self.number -= 1


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


def _delimiter(head: str) -> str:
    """The delimiter with which the header has the most known names, or else the most names."""

    def score(delimiter: str) -> tuple[int, int]:
        names = [name.strip().strip('"') for name in head.split(delimiter)]
        return sum(name.lower() in KNOWN_COLUMNS for name in names), len(names)

    return max((",", ";", "\t"), key=score)


def _header(line: int, cells: list[str], problem: str) -> list[str]:
    """The names of the columns. Raises BrokenManifest with all that is wrong with them."""
    names = [name.strip() for name in cells]
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
