"""The rows of a batch: from its results once they are written, before that from its progress and its manifest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from airflow_provider_kling.api import SUCCEED
from airflow_provider_kling.manifests import IMAGE_COLUMNS, Row, resolve_images
from airflow_provider_kling.plugin import stores
from airflow_provider_kling.plugin.database import Instance, Run, is_summary
from airflow_provider_kling.plugin.run_row import WAITING, RunRow, conn_ids_of, images_of, row_of_line, text_of
from airflow_provider_kling.plugin.selection import MOST_ROWS, Selection, count_summary
from airflow_provider_kling.redaction import show_place
from airflow_provider_kling.results import BATCH, ERROR, FAILED_RESULT, SUMMARY, decimal_of

_OVER = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
CONN_ID = "kling_conn_id"
_LATER = timedelta(minutes=1)  # after its end: who has written then was another task

log = logging.getLogger(__name__)


def place_of(instance: Instance) -> Mapping[str, Any]:
    """Where a batch reads and writes, as it has said when it started."""
    told = instance.xcoms.get(BATCH)
    rendered = {name: text_of(instance.rendered.get(name)) for name in ("manifest", "results", "shard")}
    found = {**rendered, "kling_conn_id": conn_ids_of(instance.rendered)}
    return {**found, **told} if isinstance(told, Mapping) else found


def is_batch(instance: Instance) -> bool:
    """Whether this works on several rows: a batch, or a decorated function that has returned a list of requests."""
    return instance.task.kind == "batch" or isinstance(instance.xcoms.get(BATCH), Mapping)


def summary_of(instance: Instance) -> Mapping[str, Any] | None:
    """The summary of a batch that has written its results in this run."""
    found = instance.xcoms.get(SUMMARY)
    return found if is_summary(found) else None


def add_batch(instance: Instance, run: Run, selection: Selection, notes: list[str], *, count_only: bool = False) -> None:
    """Add the rows of a batch to the selection, and what cannot be read to the notes."""
    batch = place_of(instance)
    make = _maker(instance, batch)
    failed = instance.xcoms.get(FAILED_RESULT)
    if isinstance(failed, Mapping) and failed.get("error"):
        notes.append(f"{instance.task.task_id}: {make({'id': '', 'error': failed['error']}).error}")
    try:
        if summary := summary_of(instance):
            count_summary(selection, summary)
            if not count_only:
                _add_results(instance, summary, make, selection, notes)
        else:
            _add_progress(instance, run, batch, make, selection)
    except stores.UnreadableError as error:
        notes.append(str(error))


def _maker(instance: Instance, batch: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], RunRow]:
    """Makes the row of a line. Relative paths of images count from the manifest's folder."""
    task_id, map_index = instance.task.task_id, instance.map_index
    folder = _folder_of(text_of(batch.get("manifest")) or "")

    def make(line: Mapping[str, Any]) -> RunRow:
        # Rows of a manifest have their images a second time, in the columns that these came from.
        sources = images_of({"images": line["images"]} if line.get("images") else line)
        images = Row(line=1, number=1, id="", columns={}, effect_scene="", images=sources)
        own_conn_id = text_of(line.get(CONN_ID))  # of several accounts; only the batch's own file tells
        line = {name: value for name, value in line.items() if name not in (CONN_ID, *IMAGE_COLUMNS)}
        return row_of_line(
            {**line, "images": list(resolve_images(images, folder).images)},
            task_id=task_id,
            map_index=map_index,
            task_state=instance.state,
            conn_ids=own_conn_id or text_of(batch.get(CONN_ID)) or "",
            scope=task_id,
        )

    return make


def _folder_of(location: str) -> str:
    folder, slash, _ = location.rpartition("/")
    return folder + slash


def _add_results(instance: Instance, summary: Mapping[str, Any], make: Any, selection: Selection, notes: list[str]) -> None:
    """The rows of the results. The summary has counted them; where the file cannot be read, it is all that is known."""
    location = str(summary["results"])
    written = stores.modified_at(location)
    if written and instance.ended_at and written > instance.ended_at + _LATER:
        notes.append(f"{show_place(location)} was written again after this run: its rows may be those of another run.")
    for line in stores.result_lines(location):
        if line.get("status") != SUCCEED or not selection.is_full:
            selection.keep(make(line))


def _add_progress(instance: Instance, run: Run, batch: Mapping[str, Any], make: Any, selection: Selection) -> None:
    """The rows of a batch that has not written its results: those that it has started with, and the others as they wait."""
    folder = text_of(batch.get("results"))
    progress = stores.read_progress(folder) if folder else None
    if progress is None or not _is_of(progress, instance, run, batch):
        progress = {}
    over = instance.state in _OVER or run.over
    lines = progress.get("lines")
    started = {text_of(line.get("id")): line for line in lines if isinstance(line, Mapping)} if isinstance(lines, list) else {}
    counts = progress.get("counts")
    if isinstance(counts, Mapping):
        _count_progress(progress, counts, selection, over=over)
        add: Callable[[RunRow], None] = selection.keep
    else:
        add = selection.add
    for line in _all_lines(batch, started, whole=progress.get("whole") is not False):
        row = make(line)
        add(_left(row) if over and row.state in (WAITING, "running") else row)
    total = batch.get("rows")
    if isinstance(total, int) and (missing := total - selection.total) > 0 and not isinstance(counts, Mapping):
        selection.count(ERROR if over else WAITING, rows=missing)


def _is_of(progress: Mapping[str, Any], instance: Instance, run: Run, batch: Mapping[str, Any]) -> bool:
    wanted = (run.dag_id, run.run_id, instance.task.task_id, batch.get("shard"), instance.iteration)
    return tuple(progress.get(name) for name in ("dag_id", "run_id", "task_id", "shard", "iteration")) == wanted


def _count_progress(progress: Mapping[str, Any], counts: Mapping[str, Any], selection: Selection, *, over: bool) -> None:
    """Count the rows as the batch has. Those that it left when it ended without results are errors."""
    by_connection = progress.get("running_in")
    for state, number in counts.items():
        if isinstance(number, int) and number > 0:
            left = over and state in (WAITING, "running")
            selection.count(ERROR if left else str(state), rows=number, conn_ids="")
    if isinstance(by_connection, Mapping) and not over:
        selection.running_in.clear()
        selection.running_in.update({str(name): number for name, number in by_connection.items() if isinstance(number, int)})
    selection.units += decimal_of(progress.get("units"))
    selection.videos += progress["videos"] if isinstance(progress.get("videos"), int) else 0


def _all_lines(batch: Mapping[str, Any], started: dict[str | None, Any], *, whole: bool) -> Iterator[Mapping[str, Any]]:
    """The rows of the manifest in their order, as the progress has them where it does; without a manifest, those alone.

    A progress that is not whole leaves out rows that have succeeded, so that the manifest would show them as waiting.
    """
    left = dict(started)
    try:
        for line in stores.manifest_lines(batch, most=MOST_ROWS) if whole else ():
            known = left.pop(line["id"], None)
            yield _joined(line, known) if known else line
    except stores.UnreadableError as error:
        log.info("%s", error)
    yield from left.values()


def _joined(line: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row of the manifest with what the progress knows; its images are named once, by whichever of both names them."""
    columns = line if not known.get("images") else {name: value for name, value in line.items() if name not in IMAGE_COLUMNS}
    return {**columns, **known}


def _left(row: RunRow) -> RunRow:
    """A row that a batch has left behind."""
    known = f" Its task still is at Kling, under the id {row.kling_task_id}." if row.kling_task_id else ""
    return replace(row, state=ERROR, error_kind="unknown", error=f"The batch ended before this row did. Run it again.{known}")
