"""Manifests by date, and the results of many runs as one: for scheduled DAGs, catch-up and backfills.

    manifest = manifest_of("s3://bucket/manifests", "2026-11-22")   # …/2026-11-22.csv, or …/2026-11-22/manifest.jsonl
    collect_results("s3://bucket/results")                           # …/*/results.jsonl become …/results.jsonl

`dags/kling_effects_backfill.py` shows both in their places.
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

MANIFEST = "manifest"  # what a manifest is called in a folder of its own
RUN = "run"  # the column of collected results that says which folder a line comes from


def manifest_of(folder: str, day: str) -> str | None:
    """The manifest of a date (`2026-11-22`) in this folder or URI: a file of that name, or `manifest` in a folder of it.

    None if there is none. Raises KlingInputError for what is no date, KlingManifestError where there are several.
    """
    from airflow_provider_kling.manifests import FORMATS
    from airflow_provider_kling.storage import is_there, shown, storage_path

    try:
        name = date.fromisoformat(day).isoformat()
    except (TypeError, ValueError):
        raise KlingInputError(f"The date is {day!r}; wanted is one like '2026-11-22'.") from None
    base = storage_path(folder)
    places = [base / f"{name}{suffix}" for suffix in FORMATS] + [base / name / f"{MANIFEST}{suffix}" for suffix in FORMATS]
    found = [shown(place) for place in places if is_there(place)]
    if len(found) > 1:
        raise KlingManifestError(name, [f"There are several manifests for this date: {', '.join(found)}. Leave one of them."])
    return found[0] if found else None


def collect_results(output: str, *, title: str = "Kling effects: all runs") -> dict[str, Any]:
    """Make one `results.jsonl` and `report.html` in this folder or URI of those in all its folders, by their names.

    Each line gets the name of its folder as `run`. Returns a summary with the paths. Only what stands there is read:
    repeat it after each run, one at a time.
    """
    from airflow_provider_kling.results import RESULTS, write_lines
    from airflow_provider_kling.storage import is_there, storage_path

    base = storage_path(output)
    runs = (folder for folder in (base.iterdir() if base.is_dir() else ()) if is_there(folder / RESULTS))
    folders = sorted(runs, key=lambda folder: folder.name)
    lines = ({RUN: folder.name, **line} for folder in folders for line in _lines(folder))
    return write_lines(lines, output, title=title, say_problems=False)


def join_shards(folders: Iterable[str], output: str, *, title: str) -> dict[str, Any]:
    """The same for the shards 1, 2, 3, … of one manifest: its rows come in their order."""
    from airflow_provider_kling.results import write_lines
    from airflow_provider_kling.storage import storage_path

    by_turns = zip_longest(*(_lines(storage_path(folder)) for folder in folders))
    return write_lines((line for turn in by_turns for line in turn if line), output, title=title, say_problems=False)


def _lines(folder: ObjectStoragePath) -> Iterator[Mapping[str, Any]]:
    from airflow_provider_kling.results import RESULTS
    from airflow_provider_kling.storage import is_there, read_lines

    if is_there(folder / RESULTS):
        yield from (json.loads(line) for line in read_lines(folder / RESULTS))
