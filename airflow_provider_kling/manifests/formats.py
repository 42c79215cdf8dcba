"""The formats of a manifest: CSV, JSON Lines and JSON, all of them UTF-8 with or without a BOM.

Lines of bytes become records. What a record means is checked in `row_checks`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from airflow_provider_kling.errors import KlingManifestError
from airflow_provider_kling.manifests import records
from airflow_provider_kling.manifests.csv_format import csv_records
from airflow_provider_kling.manifests.json_format import json_records, jsonl_records
from airflow_provider_kling.manifests.records import BrokenManifest, Record
from airflow_provider_kling.redaction import scheme_of, show_place

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json"}
_BOM = b"\xef\xbb\xbf"
_NOT_TEXT = (
    (b"PK\3\4", "an Excel workbook or ZIP"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def format_of(name: str, format: str | None = None) -> str:
    """`csv`, `jsonl` or `json`, as `format` or the suffix of the name says. Raises KlingManifestError for any other."""
    if format is not None:
        if format.lower() not in FORMATS.values():
            known = ", ".join(dict.fromkeys(FORMATS.values()))
            raise KlingManifestError(show_place(name), [f"format is {format!r}; wanted is one of {known}."])
        return format.lower()
    suffix = posixpath.splitext(_path_of(name))[1]
    if suffix.lower() not in FORMATS:
        found = f"its name ends in {suffix!r}" if suffix else "its name has no suffix"
        raise KlingManifestError(show_place(name), [f"{found}; wanted is one of {', '.join(FORMATS)}, or say format='csv'."])
    return FORMATS[suffix.lower()]


def _path_of(name: str) -> str:
    """The part of a location that ends in the suffix. Keys of objects and names of files may hold `?` and `#`."""
    if scheme_of(name) in ("http", "https"):
        return urlsplit(name).path
    return re.sub(r"\?versionId=[^/?#]*$", "", name) if scheme_of(name) else name


def read_records(lines: Iterable[bytes], format: str) -> Iterator[Record]:
    """The records of a manifest, one after the other; `json` is read as a whole first.

    Raises BrokenManifest where records cannot be told from each other, or one of them is too long.
    """
    if format == "json":
        return json_records(_decode(_limit_size(lines), most=records.MAX_JSON))
    return (csv_records if format == "csv" else jsonl_records)(_decode(lines, most=records.MAX_ROW))


def _limit_size(lines: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for line in lines:
        size += len(line)
        if size > records.MAX_JSON:
            raise BrokenManifest(
                f"it has more than {records.MAX_JSON:,} bytes, and a list is read as a whole; save it as JSON Lines (.jsonl)."
            )
        yield line


def _decode(lines: Iterable[bytes], *, most: int) -> Iterator[str]:
    """Lines of text, each of at most so many bytes. In UTF-8 the byte of a line end is never part of another character."""
    for number, raw in enumerate(lines, 1):
        if len(raw) > most:
            raise BrokenManifest(f"line {number}: it has more than {most:,} bytes; wanted is a text of lines, one for each row.")
        line = raw
        if number == 1:
            for start, kind in _NOT_TEXT:
                if line.startswith(start):
                    raise BrokenManifest(f"line 1: found {kind}; wanted is text: save it as UTF-8.")
            while line.startswith(_BOM):  # files with one each that were joined have several
                line = line.removeprefix(_BOM)
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = error.start + 1 + len(raw) - len(line)
            raise BrokenManifest(
                f"line {number}, byte {byte}: found 0x{line[error.start]:02x}, which is not UTF-8; save the file as UTF-8."
            ) from None
        if "\0" in text:
            raise BrokenManifest(f"line {number}: found a NUL character, as in UTF-16 or a binary file; save the file as UTF-8.")
        yield text
