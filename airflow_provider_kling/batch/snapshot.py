"""What a batch says of its rows while it runs: a file beside the results, which Airflow's UI reads. It never fails the batch.

The engine tells of a row's start and its end, nothing in between: what becomes of an active row is read from it when the file is
written. So 100,000 rows cost two entries in a table each, and the file holds no more than a page shows.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from airflow_provider_kling.api import SUCCEED
from airflow_provider_kling.batch.active_row import ActiveRow
from airflow_provider_kling.batch.job import BatchJob
from airflow_provider_kling.batch.progress import RUNNING, SAVING, WAITING, Progress
from airflow_provider_kling.batch.threads import Threads
from airflow_provider_kling.manifests import BadRow
from airflow_provider_kling.redaction import is_inline, show_error, show_place
from airflow_provider_kling.results import PROGRESS, lines_of, read_progress

FIRST, EVERY = 2.0, 10.0  # seconds until the first file, and between two of them at least
SHARE = 20  # a file is written at most in one twentieth of the time
MOST_WHOLE = 5000  # rows of a manifest that are all in the file; of a longer one, those under way and those that failed
MOST_FAILURES = 1000  # … and of these, the first

log = logging.getLogger(__name__)


def place_of(job: BatchJob, *, rows: int) -> dict[str, Any]:
    """Where a batch reads and writes, for its XCom: places that hold no secret, so that who reads them can use them."""
    places = {"manifest": job.manifest, "results": job.results, "save_to": job.save_to}
    shown = {name: None if place is None else show_place(place) for name, place in places.items()}
    return {
        **shown,
        "shard": job.shard,
        "format": job.format,
        "strict": job.strict,
        "kling_conn_id": job.kling_conn_id,
        "rows": rows,
    }


class Snapshot:
    """The rows of a batch as they stand. `saves`: videos are saved by this process, so that its results follow."""

    def __init__(self, job: BatchJob, progress: Progress, *, saves: bool) -> None:
        self._job, self._progress, self._saves = job, progress, saves
        self._whole = progress.rows <= MOST_WHOLE
        self._active: dict[str, tuple[ActiveRow, tuple[str, ...]]] = {}
        self._ended: dict[str, Mapping[str, Any]] = {}
        self._earlier: dict[str, Mapping[str, Any]] = {}
        self._videos = 0
        self._refused = False

    # --- Told by the engine

    def started(self, active: ActiveRow) -> None:
        images = tuple(image for image in active.row.images if not is_inline(image)) if self._whole else ()
        self._active[active.row.id] = (active, images)

    def ended(self, active: ActiveRow, outcome: Mapping[str, Any]) -> None:
        _, images = self._active.pop(active.row.id, (None, ()))
        succeeded = outcome.get("status") == SUCCEED
        self._videos += len(outcome.get("videos") or ())
        if self._whole or (not succeeded and len(self._ended) < MOST_FAILURES):
            line = {"id": active.row.id, "effect_scene": active.row.effect_scene, "images": images}
            self._ended[active.row.id] = {**outcome, **line, "kling_conn_id": active.account.conn_id}

    def bad(self, row: BadRow) -> None:
        if self._whole or len(self._ended) < MOST_FAILURES:
            self._ended[row.id] = next(iter(lines_of([row], lambda row: None)))

    # --- The file

    async def keep_writing(self, threads: Threads) -> None:
        """Write the file from time to time, until this is cancelled."""
        await threads.run(self._read_earlier)
        pause = FIRST
        while True:
            await asyncio.sleep(pause)
            pause = max(EVERY, SHARE * await self.write(threads))

    async def write(self, threads: Threads) -> float:
        """Write the file now. Returns the seconds that this took."""
        started = time.monotonic()
        data = self._data()
        await threads.run(lambda: self._write(data))
        return time.monotonic() - started

    async def end(self, threads: Threads) -> None:
        """Write how the rows stand at the end, where no results follow."""
        if not self._saves:
            await self.write(threads)

    def _write(self, data: dict[str, Any]) -> None:
        from airflow_provider_kling.object_paths import storage_path
        from airflow_provider_kling.storage import write_text

        try:
            write_text(storage_path(self._job.results) / PROGRESS, [json.dumps(data, default=str)])
        except Exception as error:  # noqa: BLE001 - a page that shows less is no reason to fail what was paid for
            if not self._refused:
                log.warning("The progress cannot be shown in Airflow's UI: %s", show_error(error))
            self._refused = True

    def _read_earlier(self) -> None:
        """What the triggerer, or an earlier try, has written: rows stand as they did until this batch gets to them."""
        from airflow_provider_kling.object_paths import storage_path

        try:
            data = read_progress(storage_path(self._job.results)) or {}
            if self._whole and {name: data[name] for name in self._identity} == self._identity:
                self._earlier = {line["id"]: line for line in data["lines"]}
        except Exception:  # noqa: BLE001 - mostly, there is none
            self._earlier = {}

    @property
    def _identity(self) -> dict[str, Any]:
        job = self._job
        run = {"dag_id": job.dag_id, "run_id": job.run_id, "task_id": job.task_id, "shard": job.shard}
        return run if job.iteration is None else {**run, "iteration": job.iteration}

    def _data(self) -> dict[str, Any]:
        lines: dict[str, Mapping[str, Any]] = dict(self._earlier)
        for row_id, (active, images) in self._active.items():
            line = _line(active, images)
            if line["status"] == RUNNING or lines.get(row_id, {}).get("status") != SUCCEED:
                lines[row_id] = line
        lines.update(self._ended)
        running_in = Counter(active.account.conn_id for active, _ in self._active.values() if active.stage == RUNNING)
        return {
            "form": 1,
            **self._identity,
            "written_at": datetime.now(timezone.utc).isoformat(),
            "rows": self._progress.rows,
            "whole": self._whole,
            **(self._counts_of(lines) if self._whole else self._counts()),
            "running_in": dict(running_in),
            "lines": list(lines.values()),
        }

    def _counts_of(self, lines: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """The counts of a whole manifest, by its lines."""
        counts = Counter(str(line["status"]) for line in lines.values())
        counts[WAITING] += max(0, self._progress.rows - len(lines))
        units = sum((Decimal(str(line["units"])) for line in lines.values() if line.get("units")), Decimal(0))
        return {
            "counts": dict(counts),
            "units": str(units),
            "videos": sum(len(line.get("videos") or ()) for line in lines.values()),
        }

    def _counts(self) -> dict[str, Any]:
        """The counts of a manifest of which not all rows are in the file."""
        ended, active = self._progress.ended, self._progress.active
        running = active[RUNNING] + active[SAVING]
        waiting = max(0, self._progress.rows - sum(ended.values()) - running)
        return {
            "counts": {**ended, RUNNING: running, WAITING: waiting},
            "units": str(self._progress.units),
            "videos": self._videos,
        }


def _line(active: ActiveRow, images: tuple[str, ...]) -> dict[str, Any]:
    """An active row, in the form of a line of the results."""
    task = active.task
    return {
        "id": active.row.id,
        "effect_scene": active.row.effect_scene,
        "images": images,
        "status": RUNNING if active.stage in (RUNNING, SAVING) or task else WAITING,
        "kling_task_id": task.kling_task_id if task else None,
        "external_task_id": task.external_task_id if task else None,
        "kling_conn_id": active.account.conn_id,
    }


def remove_snapshot(job: BatchJob) -> None:
    """Remove the file, once the results say it all."""
    from airflow_provider_kling.object_paths import storage_path
    from airflow_provider_kling.storage import remove

    try:
        path = storage_path(job.results) / PROGRESS
        if path.exists():
            remove(path)
    except Exception as error:  # noqa: BLE001 - readers prefer the results in any case
        log.info("%s is left behind: %s", PROGRESS, show_error(error))
