"""Manifests by date, and the results of many runs as one: for scheduled DAGs, catch-up and backfills.

    day = date_of(get_current_context())                             # "2026-11-22", in the time zone of the DAG
    manifest = manifest_of("s3://bucket/manifests", "2026-11-22")   # …/2026-11-22.csv, or …/2026-11-22/manifest.jsonl
    collect_results("s3://bucket/results")                           # …/*/results.jsonl become …/results.jsonl

For use within tasks. `dags/kling_effects_backfill.py` is a whole DAG with both.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.errors import KlingInputError, KlingManifestError, KlingStorageError
from airflow_provider_kling.naming import date_of as date_of
from airflow_provider_kling.object_paths import location_of
from airflow_provider_kling.redaction import show_place, show_reason

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_kling.arguments import Place
    from airflow_provider_kling.manifests import BadRow, Row

MANIFEST = "manifest"  # the name, without its suffix, of a manifest in a folder of its own
RUN = "run"  # the column of collected results with the name of the folder that a line comes from


def manifest_of(folder: Place, day: str) -> str | None:
    """The path or URI of the manifest of a date (`2026-11-22`) in this folder or URI; None if there is none.

    It is a file with the date as its name, or `manifest` in a folder with that name; its suffix is that of any format.
    Raises KlingInputError for what is no date, KlingManifestError where there are several manifests, and KlingStorageError
    for a folder that does not exist or cannot be read, as it is where a mount is missing.
    """
    from airflow_provider_kling.manifests import FORMATS
    from airflow_provider_kling.object_paths import location_of, storage_path

    try:
        name = date.fromisoformat(day).isoformat()
    except (TypeError, ValueError):
        raise KlingInputError(f"The date is {day!r}; wanted is one like '2026-11-22'.") from None
    base = storage_path(folder)
    places = [base / f"{name}{suffix}" for suffix in FORMATS] + [base / name / f"{MANIFEST}{suffix}" for suffix in FORMATS]
    found = [location_of(place) for place in places if place.is_file()]
    if len(found) > 1:
        raise KlingManifestError(
            name, [f"There are several manifests for this date: {', '.join(map(show_place, found))}. Leave one of them."]
        )
    if not found:
        _check_folder(base, "wanted is the folder with the manifests of all dates")
    return found[0] if found else None


def _check_folder(folder: ObjectStoragePath, wanted: str) -> None:
    """Raise KlingStorageError unless this is a folder that can be read: file systems report any other as one without files."""
    from airflow_provider_kling.object_paths import is_local

    place = show_place(location_of(folder))
    try:
        if is_local(folder):
            os.scandir(folder.path).close()
            os.stat(os.path.join(folder.path, "."))  # fails where the files in it may not be opened
        elif folder.fs.info(folder.path)["type"] != "directory":
            raise NotADirectoryError
    except FileNotFoundError:
        raise KlingStorageError(f"The folder {place} does not exist; {wanted}.") from None
    except NotADirectoryError:
        raise KlingStorageError(f"{place} is no folder; {wanted}.") from None
    except Exception as error:  # noqa: BLE001 - the libraries of object stores have errors of their own
        raise KlingStorageError(
            f"The folder {place} cannot be read: {show_reason(error, location_of(folder))}; {wanted}."
        ) from None


def collect_results(output: Place, *, title: str = "All runs") -> dict[str, Any]:
    """Join the `results.jsonl` of all folders in this folder or URI into one there, with its `report.html`.

    Folders come in the order of their names; each line gets the name of its folder as `run`. The report has a group for each
    folder, the last name first, with a link to the report in it. A damaged line is logged and,
    if it still has an id, becomes an error of its row. Returns the summary that `write_results` returns. Call it again after
    each run, and never twice at the same time. Raises KlingStorageError for a folder that does not exist or cannot be read.
    """
    from airflow_provider_kling.object_paths import storage_path
    from airflow_provider_kling.results import RESULTS, write_lines
    from airflow_provider_kling.storage import exists

    base = storage_path(output)
    _check_folder(base, "wanted is the folder with the results of all runs")
    runs = (folder for folder in base.iterdir() if exists(folder / RESULTS))
    folders = sorted(runs, key=lambda folder: folder.name)
    lines = ({RUN: folder.name, **line} for folder in folders for line in _lines(folder) if line)
    return write_lines(lines, output, title=title, by_run=True, log_problems=False)


def join_shards(
    folders: Iterable[str],
    output: str,
    *,
    title: str,
    manifest: str | None = None,
    format: str | None = None,
    strict: bool = False,
) -> dict[str, Any]:
    """Join the results of the shards 1, 2, 3, … of one manifest, in the order of its rows, into `output`.

    `folders` are those of all shards, in their order. With `manifest` (and the same `format` and `strict` as for the shards),
    a row that no shard has a line for is an error in the results. Without it, a shard without results raises
    KlingInputError, because its rows are not known. Returns the summary that `write_results` returns.
    """
    from airflow_provider_kling.results import write_lines

    folders = list(folders)
    if manifest is None:
        return write_lines(_in_turn(folders), output, title=title, log_problems=False)
    from airflow_provider_kling.manifests import ManifestFile

    with ManifestFile(manifest, format=format, strict=strict) as file:
        return write_lines(_by_row(file.rows(), folders), output, title=title, manifest=manifest, log_problems=False)


def _in_turn(folders: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """One line of each shard after the other, as their rows stand in the manifest."""
    from airflow_provider_kling.object_paths import storage_path

    missing = [
        f"{number}/{len(folders)} ({show_place(folder)})" for number, folder in enumerate(folders, 1) if not _has_results(folder)
    ]
    if missing:
        wanted = "run these shards again, or name the manifest, so that their rows get into the results as errors"
        raise KlingInputError(f"There are no results of shard {', '.join(missing)}: {wanted}.")
    for lines in zip_longest(*(_lines(storage_path(folder)) for folder in folders)):
        yield from filter(None, lines)


def _by_row(rows: Iterable[Row | BadRow], folders: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """The line of each row, by its id; then lines of rows that the manifest does not have any more."""
    from airflow_provider_kling.batch import Spool
    from airflow_provider_kling.object_paths import storage_path
    from airflow_provider_kling.results import ERROR, join, with_row

    with Spool() as found:
        ids: dict[str, bool] = {}  # of the lines, and whether their rows were met
        for folder in folders:
            for line in _lines(storage_path(folder)) if _has_results(folder) else ():
                if line:
                    found.put(line["id"], line)
                    ids[line["id"]] = False
        for row in rows:
            if row.id in ids:
                ids[row.id] = True
                yield with_row(found.get(row.id), row)
            else:
                shard = (row.number - 1) % len(folders)
                left = "no line for this row" if _has_results(folders[shard]) else "no results"
                error = f"Shard {shard + 1}/{len(folders)} has left {left} in {show_place(folders[shard])}. Run it again."
                yield from join([row], [{"row_id": row.id, "status": ERROR, "error": error}])
        yield from (found.get(row_id) for row_id, met in ids.items() if not met)


def _has_results(folder: str) -> bool:
    """Whether there are results, be they empty: a shard may have no rows."""
    from airflow_provider_kling.object_paths import storage_path
    from airflow_provider_kling.results import RESULTS

    return bool((storage_path(folder) / RESULTS).exists())


def _lines(folder: ObjectStoragePath) -> Iterator[Mapping[str, Any] | None]:
    """The lines of a folder's results. A damaged one is the error of its row, or None where it has no id."""
    from airflow_provider_kling.results import RESULTS, damaged_row, read_results

    place = show_place(location_of(folder / RESULTS))
    for number, line, problem in read_results(folder / RESULTS):
        if problem and line is not None:
            yield damaged_row(line, f"Line {number} of {place} is damaged: {problem}. Run its batch again.")
        else:
            yield line
