"""Manifests as JSON Lines, one object a line, and as JSON, one list of objects."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from airflow_provider_kling.manifests.columns import json_kind
from airflow_provider_kling.manifests.invisible import BOM
from airflow_provider_kling.manifests.records import MAX_COLUMNS, BrokenManifest, Record, too_many_columns

_JSON_SPACE = " \t\r\n"


def jsonl_records(texts: Iterator[str]) -> Iterator[Record]:
    """The records of JSON Lines; blank lines are skipped. Raises BrokenManifest for a list, or where there is no line."""
    decoder = _Decoder()
    found_any = False
    for number, line in enumerate(texts, 1):
        text = line.strip(_JSON_SPACE + BOM)
        if not text:
            continue
        if not found_any and text.startswith("["):
            raise BrokenManifest(f"line {number}: found a list; wanted is one object per line, or a name that ends in .json.")
        found_any = True
        try:
            record, end = decoder.decode(text, 0, number)
            if end < len(text):
                record = Record(number, {}, [f"It goes on after its object, at column {end + 1}; wanted is one object per line."])
        except (ValueError, RecursionError) as error:
            record = Record(number, {}, [f"It is not valid JSON: {_reason(error)}."])
        yield record
    if not found_any:
        raise BrokenManifest("it is empty; wanted is one JSON object per line.")


def json_records(texts: Iterator[str]) -> Iterator[Record]:
    """The records of a list of objects, decoded one by one. Raises BrokenManifest for anything else."""
    text = "".join(texts)
    position, decoder, line, counted = _skip_space(text, 0), _Decoder(), 1, 0
    if position == len(text):
        raise BrokenManifest("it is empty; wanted is a list of objects.")
    if text[position] != "[":
        found = "an object" if text[position] == "{" else "no list"
        raise BrokenManifest(
            f"found {found}; wanted is a list of objects, [{{…}}, {{…}}]. Objects line by line belong in a .jsonl file."
        )
    position = _skip_space(text, position + 1)
    for index in itertools.count():
        if text[position : position + 1] == "]" and index == 0:
            break
        line, counted = line + text.count("\n", counted, position), position
        try:
            record, position = decoder.decode(text, position, line)
        except (ValueError, RecursionError) as error:
            raise BrokenManifest(f"it is not valid JSON: {_reason(error, line)}.") from None
        yield record
        position = _skip_space(text, position)
        mark = text[position : position + 1]
        if mark == "]":
            break
        if mark != ",":
            line += text.count("\n", counted, position)
            raise BrokenManifest(
                f"it is not valid JSON: after item {index + 1}, line {line}, a comma or ] is missing; is the file cut off?"
            )
        position = _skip_space(text, position + 1)
    if _skip_space(text, position + 1) < len(text):
        raise BrokenManifest("it goes on after its list; wanted is one list of objects.")


class _Decoder:
    """A JSON decoder that reports what Python's own accepts silently: a key that stands twice, and NaN."""

    def __init__(self) -> None:
        self._problems: list[str] = []
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=self._constant)

    def decode(self, text: str, start: int, line: int) -> tuple[Record, int]:
        """The value at `start` as a record, and where it ends. Raises ValueError or RecursionError for what is no JSON."""
        self._problems.clear()
        value, end = self._decoder.raw_decode(text, start)
        if not isinstance(value, dict):
            return Record(line, {}, [f"It is {json_kind(value)}; wanted is an object with effect_scene and image."]), end
        if len(value) > MAX_COLUMNS:
            return Record(line, {}, [f"It has {too_many_columns(value)}"]), end
        return Record(line, value, tuple(self._problems)), end

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
            self._problems.append(f"The key {twice[:40]!r} stands twice; wanted is each once.")
        return found

    def _constant(self, name: str) -> None:
        self._problems.append(f"It holds {name}, which is no JSON; wanted is a number or null.")


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in _JSON_SPACE:
        position += 1
    return position


def _reason(error: ValueError | RecursionError, line: int | None = None) -> str:
    """Why a text is not JSON, with the column, or with the line too where `line` (that of the value's start) is given."""
    if isinstance(error, json.JSONDecodeError):
        where = f"column {error.colno}" if line is None else f"line {error.lineno}, column {error.colno}"
        return f"{error.msg} at {where}"
    what = "it is nested too deeply" if isinstance(error, RecursionError) else "a number has too many digits"
    return what if line is None else f"{what}, line {line}"
