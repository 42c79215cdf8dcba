"""Manifests by date, and the results of many runs as one: for scheduled DAGs, catch-up and backfills.

    manifest = manifest_of("s3://bucket/manifests", "2026-11-22")   # …/2026-11-22.csv, or …/2026-11-22/manifest.jsonl
    collect_results("s3://bucket/results")                           # …/*/results.jsonl become …/results.jsonl

For use within tasks. `dags/kling_effects_backfill.py` is a whole DAG with both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.errors import KlingInputError, KlingManifestError

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

MANIFEST = "manifest"  # the name, without its suffix, of a manifest in a folder of its own
RUN = "run"  # the column of collected results with the name of the folder that a line comes from


def manifest_of(folder: str, day: str) -> str | None:
    """The path or URI of the manifest of a date (`2026-11-22`) in this folder or URI; None if there is none.

    It is a file with the date as its name, or `manifest` in a folder with that name; its suffix is that of any format.
    Raises KlingInputError for what is no date, KlingManifestError where there are several manifests.
    """
    from airflow_provider_kling.manifests import FORMATS
    from airflow_provider_kling.storage import exists, location_of, storage_path

    try:
        name = date.fromisoformat(day).isoformat()
    except (TypeError, ValueError):
        raise KlingInputError(f"The date is {day!r}; wanted is one like '2026-11-22'.") from None
    base = storage_path(folder)
    places = [base / f"{name}{suffix}" for suffix in FORMATS] + [base / name / f"{MANIFEST}{suffix}" for suffix in FORMATS]
    found = [location_of(place) for place in places if exists(place)]
    if len(found) > 1:
        raise KlingManifestError(name, [f"There are several manifests for this date: {', '.join(found)}. Leave one of them."])
    return found[0] if found else None


def collect_results(output: str, *, title: str = "Kling effects: all runs") -> dict[str, Any]:
    """Join the `results.jsonl` of all folders in this folder or URI into one there, with its `report.html`.

    Folders come in the order of their names; each line gets the name of its folder as `run`. Returns the summary that
    `write_results` returns. Call it again after each run, and never twice at the same time.
    """
    from airflow_provider_kling.results import RESULTS, write_lines
    from airflow_provider_kling.storage import exists, storage_path

    base = storage_path(output)
    runs = (folder for folder in (base.iterdir() if base.is_dir() else ()) if exists(folder / RESULTS))
    folders = sorted(runs, key=lambda folder: folder.name)
    lines = ({RUN: folder.name, **line} for folder in folders for line in _lines(folder))
    return write_lines(lines, output, title=title, log_problems=False)


def join_shards(folders: Iterable[str], output: str, *, title: str) -> dict[str, Any]:
    """Join the results of the shards 1, 2, 3, … of one manifest, in the order of its rows, into `output`.

    `folders` are those of the shards, in their order; one without results is skipped. Returns the summary that
    `write_results` returns.
    """
    from airflow_provider_kling.results import write_lines
    from airflow_provider_kling.storage import storage_path

    one_of_each = zip_longest(*(_lines(storage_path(folder)) for folder in folders))
    return write_lines((line for lines in one_of_each for line in lines if line), output, title=title, log_problems=False)


def _lines(folder: ObjectStoragePath) -> Iterator[Mapping[str, Any]]:
    from airflow_provider_kling.results import RESULTS
    from airflow_provider_kling.storage import exists, read_lines

    if exists(folder / RESULTS):
        yield from (json.loads(line) for line in read_lines(folder / RESULTS))
