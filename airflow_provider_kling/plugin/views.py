"""A run as its pages show it: rows, counts and notes, put together from Airflow's database and the places of the results.

A view is kept for a short time, so that each piece of a video does not read the run again. Rights are checked at each request,
before this is asked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import Decimal
from itertools import islice
from typing import Any

from airflow_provider_kling.plugin import stores
from airflow_provider_kling.plugin.batch_rows import add_batch, is_batch, place_of, summary_of
from airflow_provider_kling.plugin.cache import Cache
from airflow_provider_kling.plugin.database import Records, Run, find_run, read_records
from airflow_provider_kling.plugin.rows import rows_of_instances, with_lines
from airflow_provider_kling.plugin.run_row import RUNNING, WAITING, RunRow
from airflow_provider_kling.plugin.selection import Selection
from airflow_provider_kling.plugin.xcoms import decode
from airflow_provider_kling.redaction import show_place

FRESH = 1.5  # seconds for which a view of a run that goes on is handed out again
FRESH_FINAL = 10.0  # … of a run that is over; it may be cleared at any time
KEPT = 120.0  # seconds for which files and links are found in a view
MOST_VIEWS = 8
MOST_LINES = 20_000  # of results that are joined with task instances


@dataclass(frozen=True, kw_only=True)
class RunView:
    """All that is known of a run. `results` are the locations of its `results.jsonl`, in the order of the tasks."""

    run: Run
    rows: list[RunRow]
    counts: Mapping[str, int]
    units: Decimal
    videos: int
    more: int
    notes: list[str]
    results: list[str]
    running_in: Mapping[str, int]
    conn_ids: list[str]
    tasks_with_results: frozenset[str]
    as_of: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    @property
    def final(self) -> bool:
        """Whether nothing will change any more."""
        return self.run.over and not self.counts.get(RUNNING) and not self.counts.get(WAITING)

    def row(self, key: str) -> RunRow | None:
        return next((row for row in self.rows if row.key == key), None)


_views: Cache[tuple[str, str], tuple[float, RunView]] = Cache(MOST_VIEWS)
_lock = threading.Lock()
_building: dict[tuple[str, str], threading.Lock] = {}


def view_of(dag_id: str, run_id: str, *, max_age: float | None = None) -> RunView | None:
    """The view of a run, at most `max_age` seconds old; None where there is no such run."""
    key = (dag_id, run_id.replace(" ", "+"))
    if view := _known(key, max_age):
        return view
    with _lock:
        building = _building.setdefault(key, threading.Lock())
    try:
        with building:  # several readers of one run wait for one that builds it
            return _known(key, max_age) or _keep(key, build(dag_id, run_id))
    finally:
        with _lock:
            _building.pop(key, None)


def row_of(dag_id: str, run_id: str, key: str, has: Callable[[RunRow], bool]) -> tuple[RunView, RunRow] | None:
    """A row by its key, and its view; None where the run has no such row, or the row not what is looked for.

    The run is read anew before that is said: another process of the API server may have told of it.
    """
    for max_age in (KEPT, FRESH):
        view = view_of(dag_id, run_id, max_age=max_age)
        if view and (row := view.row(key)) and has(row):
            return view, row
    return None


def _known(key: tuple[str, str], max_age: float | None) -> RunView | None:
    found = _views.get(key)
    if found is None:
        return None
    made, view = found
    limit = max_age if max_age is not None else FRESH_FINAL if view.final else FRESH
    return view if time.monotonic() - made <= limit else None


def _keep(key: tuple[str, str], view: RunView | None) -> RunView | None:
    return None if view is None else _views.put(key, (time.monotonic(), view))[1]


def build(dag_id: str, run_id: str, *, count_only: bool = False) -> RunView | None:
    """Read the run anew. With `count_only`, the rows of a batch that has written a summary are counted, not read."""
    from airflow.utils.session import create_session

    with create_session() as session:
        run = find_run(session, dag_id, run_id)
        records = read_records(session, run, decode) if run else None
    return view_of_records(records, count_only=count_only) if records else None


def view_of_records(records: Records, *, count_only: bool = False) -> RunView:
    """The view of what the database has, and of what lies in the places that it names."""
    selection = Selection()
    notes: list[str] = []
    batches = [one for one in records.instances if is_batch(one) and one.state != "removed"]
    rows = rows_of_instances([one for one in records.instances if not is_batch(one)], records.rows_of, run_over=records.run.over)
    written: list[str] = []
    if not batches:
        rows, written = _with_results(rows, records, notes)
    for row in rows:
        selection.add(row)
    for batch in batches:
        add_batch(batch, records.run, selection, notes, count_only=count_only)
    written += [str(summary["results"]) for batch in batches if (summary := summary_of(batch))]
    kept = selection.rows
    conn_ids = {row.conn_ids for row in kept} | {str(place_of(one).get("kling_conn_id") or "") for one in batches}
    return RunView(
        run=records.run,
        rows=kept,
        counts=selection.count_by(),
        units=selection.units,
        videos=selection.videos,
        more=max(0, selection.total - len(kept)),
        notes=list(dict.fromkeys(notes)),
        results=list(dict.fromkeys(written)),
        running_in={name: count for name, count in selection.running_in.items() if count > 0},
        conn_ids=sorted({name for names in conn_ids for name in names.split(",") if name}),
        tasks_with_results=frozenset(records.summaries),
    )


def _with_results(rows: list[RunRow], records: Records, notes: list[str]) -> tuple[list[RunRow], list[str]]:
    """The rows as a task like `collect` has written them, and where; the rows alone, where no such task has run.

    Results of other runs are not taken for this one's: they have a column `run`, or lack a row that this run has.
    """
    known = {row.row_id for row in rows if row.row_id is not None}
    for summary in records.summaries.values():
        location = str(summary["results"])
        try:
            lines = list(islice(_lines_of_this_run(location), MOST_LINES))
        except stores.UnreadableError as error:
            notes.append(str(error))
            continue
        if len(lines) == MOST_LINES:
            notes.append(f"Shown are the first {MOST_LINES:,} rows of {show_place(location)}.")
        if lines and known <= {str(line.get("id")) for line in lines}:
            return with_lines(rows, lines), [location]
    return rows, []


def _lines_of_this_run(location: str) -> Iterator[Mapping[str, Any]]:
    for line in stores.result_lines(location):
        if "run" in line:
            return
        yield line
