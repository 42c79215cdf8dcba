"""From lines of bytes to rows: a manifest of any format, read as a stream.

Columns: `effect_scene`; `image`, or `image_1` and `image_2`, or `images` (a list; as text a JSON list, or values
separated by `|`); `id` (optional, unique; without one it is the number of the row, counted from 1). Further columns go to
the results untouched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airflow_provider_kling.errors import KlingManifestError
from airflow_provider_kling.manifests.formats import format_of, read_records
from airflow_provider_kling.manifests.records import BrokenManifest, Record
from airflow_provider_kling.manifests.row_checks import RowChecker, Warn
from airflow_provider_kling.manifests.rows import BadRow, Manifest, Row
from airflow_provider_kling.redaction import show_place


def parse_rows(
    lines: Iterable[bytes], *, name: str, format: str | None = None, strict: bool = False, warn: Warn | None = None
) -> Iterator[Row | BadRow]:
    """The rows of a manifest one after the other, in its order.

    `lines` are those of a file opened in binary mode. `name` is the file's path or URI; its suffix tells the format, unless
    `format` does (csv, jsonl, json). `warn` is called with each warning, a sentence, once. With `strict`, a scene that is
    unknown or discontinued makes a BadRow instead of a warning.
    Raises KlingManifestError where the rows cannot be told from each other: at once for an unknown format, while reading for
    a file that is empty, not UTF-8, or has the wrong columns.
    """
    records = read_records(lines, format_of(name, format))
    return _check_records(records, name=show_place(name), checker=RowChecker(strict=strict, warn=warn))


def read_rows(lines: Iterable[bytes], *, name: str, format: str | None = None, strict: bool = False) -> Manifest:
    """The whole manifest at once; see `parse_rows`."""
    warnings: list[str] = []
    rows = parse_rows(lines, name=name, format=format, strict=strict, warn=warnings.append)
    return Manifest.of(rows, name=show_place(name), warnings=warnings)


def _check_records(records: Iterator[Record], *, name: str, checker: RowChecker) -> Iterator[Row | BadRow]:
    try:
        for record in records:
            yield checker.check(record)
        if not checker.count:
            raise BrokenManifest("it holds no rows; wanted is at least one.")
    except BrokenManifest as error:
        raise KlingManifestError(name, error.problems) from None
