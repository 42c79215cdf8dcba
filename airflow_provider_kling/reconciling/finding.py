"""The tasks that results know: from files, folders and object stores, or as an operator returned them. Blocks."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.arguments import place_text
from airflow_provider_kling.errors import KlingInputError, KlingStorageError
from airflow_provider_kling.object_paths import as_stored, location_of, shown, storage_path
from airflow_provider_kling.reconciling.known import KnownTask, task_of_line
from airflow_provider_kling.redaction import show_reason
from airflow_provider_kling.results import PROGRESS, RESULTS, intact_lines, read_origin, read_progress
from airflow_provider_kling.storage import time_of

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

DEEPEST = 6  # folders below a place in which results are looked for
VIDEOS = "videos"  # the folder beside results that may hold 100,000 files, and no results
CLOCKS = timedelta(days=1)  # by which the clock of a store may be wrong

WANTED = "wanted is the path or URI of a results.jsonl or of a folder with results, the summary of a batch, or a result"

log = logging.getLogger(__name__)


def check_sources(given: Any) -> list[str | Mapping[str, Any]]:
    """Where results are, as a list: paths, URIs, summaries that name their `results`, and results with a `kling_task_id`.

    Takes one of them, or any number in lists. None and an empty text are no results. Raises KlingInputError.
    """
    given = place_text(given)
    if given is None or given == "":
        return []
    if isinstance(given, str) and given.strip() and not given.lstrip().startswith(("{", "[")):
        return [given]
    if isinstance(given, Mapping) and any(isinstance(given.get(name), str) for name in ("results", "kling_task_id")):
        return [given]
    if isinstance(given, Mapping | str) or not isinstance(given, Sequence):
        found = "an object without results and kling_task_id" if isinstance(given, Mapping) else repr(given)[:100]
        raise KlingInputError(f"results is {found}; {WANTED}.")
    return [source for one in given for source in check_sources(one)]


def known_tasks(sources: Sequence[str | Mapping[str, Any]], *, since: datetime) -> Iterator[KnownTask]:
    """The Kling tasks of all these results, one by one. A task may come more than once.

    Files in folders that were last written before `since` are left out: nothing in them was created later. Raises
    KlingStorageError for a place that does not exist, KlingInputError for a file that cannot be read.
    """
    for source in sources:
        if isinstance(source, str):
            yield from _tasks_below(storage_path(source), since)
        elif isinstance(source.get("results"), str):
            yield from _tasks_below(storage_path(source["results"]), since)
        elif task := task_of_line(source, dag_id=_name(source, "dag_id"), run_id=_name(source, "run_id")):
            yield task


def _name(source: Mapping[str, Any], key: str) -> str | None:
    value = source.get(key)
    return value if isinstance(value, str) and value else None


def _tasks_below(path: ObjectStoragePath, since: datetime) -> Iterator[KnownTask]:
    """The tasks of a file, or of all results in a folder and below it."""
    path = as_stored(path)
    if path.is_file():
        yield from _tasks_of(path)
        return
    try:
        found = path.is_dir()
    except Exception as error:  # noqa: BLE001 - the libraries of object stores have errors of their own
        raise KlingStorageError(f"{shown(path)} cannot be read: {show_reason(error, location_of(path))}.") from None
    if not found:
        raise KlingStorageError(f"There are no results in {shown(path)}: it does not exist.")
    files = older = 0
    for file, modified in _results_below(path, DEEPEST):
        if modified is not None and modified < since - CLOCKS:
            older += 1
            continue
        files += 1
        yield from _tasks_of(file)
    text = "Results in %s: %d files read, %d left out that were written before the span."
    log.log(logging.INFO if files or older else logging.WARNING, text, shown(path), files, older)


def _results_below(folder: ObjectStoragePath, deepest: int) -> Iterator[tuple[ObjectStoragePath, datetime | None]]:
    """The files `results.jsonl` and `progress.json`, and when each was written, in the order of their folders' names."""
    try:
        entries = folder.fs.ls(folder.path, detail=True)
    except Exception as error:  # noqa: BLE001 - the libraries of object stores have errors of their own
        raise KlingStorageError(f"The folder {shown(folder)} cannot be read: {show_reason(error, location_of(folder))}.") from None
    by_name = {str(entry["name"]).rstrip("/").rpartition("/")[2]: entry for entry in entries}
    found = [name for name in (RESULTS, PROGRESS) if name in by_name and by_name[name].get("type") != "directory"]
    yield from ((folder / name, time_of(by_name[name])) for name in found)
    for name in sorted(by_name):
        below = by_name[name].get("type") == "directory" and not (name == VIDEOS and found)
        if below and deepest and re.search(r"[^.]", name):
            yield from _results_below(folder / name, deepest - 1)


def _tasks_of(file: ObjectStoragePath) -> Iterator[KnownTask]:
    if file.name == PROGRESS:
        yield from _tasks_under_way(file)
        return
    folder = file.parent
    origins = {"": read_origin(folder)}
    for line in intact_lines(file):
        run = line.get("run")  # combined results have the name of the folder that a line comes from
        name = run if isinstance(run, str) and origins[""] is None and re.fullmatch(r"[^/\\]*[^/\\.][^/\\]*", run) else ""
        if name not in origins:
            origins[name] = read_origin(folder / name)
        origin = origins[name]
        known = {"dag_id": origin.dag_id, "run_id": origin.run_id} if origin else {}
        if task := task_of_line(line, run=name or folder.name, **known):
            yield task


def _tasks_under_way(file: ObjectStoragePath) -> Iterator[KnownTask]:
    """The tasks of a batch that has not written its results yet, as far as the file in which it says so has them."""
    try:
        data = read_progress(file.parent) or {}
    except Exception as error:  # noqa: BLE001 - each store has errors of its own
        log.info("%s is not used: %s", shown(file), show_reason(error, location_of(file)))
        return
    origin, lines = {"dag_id": _name(data, "dag_id"), "run_id": _name(data, "run_id")}, data.get("lines")
    for line in lines if isinstance(lines, list) else ():
        if isinstance(line, Mapping) and (task := task_of_line(line, run=file.parent.name, **origin)):
            yield task
