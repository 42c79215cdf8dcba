"""The rows of a batch: read as a stream, each worked on by an asyncio task of its own, and each row's outcome stored.

The account's dispatcher decides when a row creates its task. Only a limited number of rows is active at once, and
outcomes go to disk, so 100,000 rows need no more memory than a few thousand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from airflow_provider_kling.api import Product
from airflow_provider_kling.batch.account import Account
from airflow_provider_kling.batch.active_row import ActiveRow, Limits
from airflow_provider_kling.batch.counting import RowMetrics
from airflow_provider_kling.batch.failures import Failures
from airflow_provider_kling.batch.job import BatchJob, BatchOutcome
from airflow_provider_kling.batch.previous import PreviousResults
from airflow_provider_kling.batch.progress import WAITING, Progress
from airflow_provider_kling.batch.row_worker import RowWorker
from airflow_provider_kling.batch.snapshot import Snapshot
from airflow_provider_kling.batch.spool import Spool
from airflow_provider_kling.batch.threads import Threads
from airflow_provider_kling.client import Downloads, flows
from airflow_provider_kling.dispatch import shares_of, turn
from airflow_provider_kling.manifests import BadRow, Row, is_portable
from airflow_provider_kling.redaction import is_inline
from airflow_provider_kling.results import INVALID, decimal_of

CHUNK, CHUNK_CHARACTERS = 64, 1_000_000  # rows that are read at once, and characters of their images


class Batch:
    """The rows of one job; the arguments are those of `runner.run`, `deadline` on the monotonic clock.

    Without `previous` nothing is looked up.
    """

    def __init__(
        self,
        job: BatchJob,
        product: Product,
        rows: Iterator[Row | BadRow],
        *,
        accounts: Sequence[Account],
        previous: PreviousResults | None,
        made: flows.MadeInRun | None,
        threads: Threads,
        progress: Progress,
        snapshot: Snapshot,
        outcomes: Spool | None,
        downloads: Downloads,
        deadline: float,
        save_timeout: float,
        last_try: bool,
    ) -> None:
        self._rows, self._accounts, self._threads = rows, accounts, threads
        self._progress, self._snapshot, self._outcomes = progress, snapshot, outcomes
        self._shares = shares_of([account.client.settings for account in accounts])
        self._limits = Limits(job, accounts=len(accounts))
        self._metrics = RowMetrics(
            accounts,
            ends=outcomes is not None,
            resumed=save_timeout > 0,
            previous=previous if job.tries > 1 else None,
            last_try=last_try,
        )
        self._worker = RowWorker(
            job,
            product,
            accounts=accounts,
            previous=previous,
            made=made,
            threads=threads,
            limits=self._limits,
            downloads=downloads if outcomes is not None else None,
            metrics=self._metrics,
            deadline=deadline,
            save_timeout=save_timeout,
        )
        self._outcome = BatchOutcome()
        self._failures = Failures(self._outcome, accounts=len(accounts))
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: BaseException | None = None

    async def run(self) -> BatchOutcome:
        """Work on all rows until each has ended."""
        try:
            while chunk := await self._threads.run(self._read_chunk):
                for row in chunk:
                    if isinstance(row, BadRow):
                        self._progress.end(INVALID, worked=False)
                        self._snapshot.bad(row)
                        self._metrics.ended_badly(row)
                    else:
                        await self._start(row)
            while self._tasks:
                await asyncio.wait(self._tasks)
            self._check()
        finally:
            remaining = list(self._tasks)
            for task in remaining:
                task.cancel()
            await asyncio.gather(*remaining, return_exceptions=True)
        self._outcome.counts = dict(self._progress.ended)
        return self._outcome

    def _read_chunk(self) -> list[Row | BadRow]:
        """The next rows; only a few where the manifest itself holds the images."""
        chunk: list[Row | BadRow] = []
        characters = 0
        while len(chunk) < CHUNK and characters < CHUNK_CHARACTERS and (row := next(self._rows, None)):
            chunk.append(row)
            characters += sum(map(len, row.images)) if isinstance(row, Row) else 0
        return chunk

    async def _start(self, row: Row) -> None:
        """Start work on a row, as soon as the limits admit it."""
        self._check()
        if self._outcomes is None and not all(is_inline(image) or is_portable(image) for image in row.images):
            self._outcome.for_worker += 1
            return
        active = ActiveRow(row, self._accounts[turn(row.number, self._shares)], self._progress)
        await self._limits.admit(active)
        active.move(WAITING)
        self._snapshot.started(active)
        task = asyncio.create_task(self._work(active))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def _work(self, active: ActiveRow) -> None:
        failed_with = None
        try:
            outcome = await self._worker.outcome_of(active)
        except Exception as error:  # noqa: BLE001 - a row fails alone, whatever its error is
            outcome, failed_with = self._failures.outcome_of(active, error), error
        finally:
            active.end()
        self._metrics.ended(active, outcome, failed_with)
        self._store(active, outcome)

    def _store(self, active: ActiveRow, outcome: dict[str, Any]) -> None:
        self._progress.end(outcome["status"], units=decimal_of(outcome["units"]), worked=active.worked)
        self._snapshot.ended(active, outcome)
        if self._outcomes is not None:
            self._outcomes.put(active.row.id, outcome)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            self._broken = self._broken or task.exception()

    def _check(self) -> None:
        """Raise what no row is to blame for, like a mistake of this module or a full disk: it ends the batch."""
        if self._broken:
            raise self._broken
