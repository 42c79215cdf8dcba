"""Runs a whole batch: opens its accounts, reads what earlier attempts left, works on all rows, and logs the progress."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator

from airflow_provider_kling.api import EFFECTS, Product
from airflow_provider_kling.arguments import conn_ids
from airflow_provider_kling.batch.account import Account, open_account
from airflow_provider_kling.batch.engine import Batch
from airflow_provider_kling.batch.job import BatchJob, BatchOutcome
from airflow_provider_kling.batch.previous import PreviousResults
from airflow_provider_kling.batch.progress import Progress
from airflow_provider_kling.batch.snapshot import Snapshot
from airflow_provider_kling.batch.spool import Spool
from airflow_provider_kling.batch.threads import Threads
from airflow_provider_kling.client import DOWNLOADS, Downloads, flows, monotonic_deadline
from airflow_provider_kling.manifests import BadRow, Row

Log = Callable[[str], object]  # writes a line to the log of the caller


async def run(
    job: BatchJob,
    rows: Iterator[Row | BadRow],
    *,
    product: Product = EFFECTS,
    count: int,
    outcomes: Spool | None,
    adopt_existing: bool,
    log: Log,
    downloads: int = DOWNLOADS,
    save_timeout: float = 0.0,
    last_try: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> BatchOutcome:
    """Work on these rows, `count` in all, until each has ended.

    - `outcomes`: gets what became of each good row, by row id: the keys of `results.result_of` or `error_result`, and
      `row_id`. Without it, as in the triggerer, no video is saved, and rows whose images only a worker can read are skipped.
    - `adopt_existing`: earlier attempts may have created tasks, so these are looked up before anything is created.
    - `log`: gets a line about the progress every 10 to 60 seconds, and at the end.
    - `save_timeout`: seconds that the videos of one task may take, where less is left until the job's deadline.
    - `last_try`: Airflow does not try the task again, so that a row that fails now has failed for good; for the metrics.
    - `clock`: returns seconds since any fixed time; for the progress.

    Raises KlingSettingsError for connections that cannot work, other KlingErrors if earlier results or tasks are unreadable.
    """
    progress = Progress(rows=count, clock=clock)
    snapshot = Snapshot(job, progress, saves=outcomes is not None)
    deadline = monotonic_deadline(job.deadline)  # once: the wall clock may be set while the batch runs
    made = flows.MadeInRun(flows.run_key(job.dag_id, job.run_id, job.task_id, job.iteration)) if job.cap else None
    async with contextlib.AsyncExitStack() as stack:
        threads = stack.enter_context(Threads())
        accounts = [
            await stack.enter_async_context(open_account(conn_id, job, product, deadline=deadline, made=made))
            for conn_id in conn_ids(job.kling_conn_id)
        ]
        previous = await _read_previous(stack, job, accounts, threads) if adopt_existing else None
        batch = Batch(
            job,
            product,
            rows,
            accounts=accounts,
            previous=previous,
            made=made,
            threads=threads,
            progress=progress,
            snapshot=snapshot,
            outcomes=outcomes,
            downloads=Downloads(downloads),
            deadline=deadline,
            save_timeout=save_timeout,
            last_try=last_try,
        )
        await stack.enter_async_context(_reporting(progress, log))
        await stack.enter_async_context(_showing(snapshot, threads))
        return await batch.run()


async def _read_previous(
    stack: contextlib.AsyncExitStack, job: BatchJob, accounts: list[Account], threads: Threads
) -> PreviousResults:
    """Read the results that earlier attempts wrote, and the start of each account's list of tasks."""
    previous = stack.enter_context(PreviousResults())
    await threads.run(lambda: previous.read(job.results))
    for account in accounts:
        await (account.lookup.read_whole_list() if job.cap else account.lookup.read_list())
    return previous


@contextlib.asynccontextmanager
async def _reporting(progress: Progress, log: Log) -> AsyncIterator[None]:
    """Log the progress from time to time, and once at the end."""
    reporter = asyncio.create_task(_report(progress, log))
    try:
        yield
    finally:
        reporter.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reporter
        if line := progress.next_line():
            log(line)


@contextlib.asynccontextmanager
async def _showing(snapshot: Snapshot, threads: Threads) -> AsyncIterator[None]:
    """Write the progress for Airflow's UI from time to time, and where no results follow, once at the end."""
    writer = asyncio.create_task(snapshot.keep_writing(threads))
    try:
        yield
    finally:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
    await snapshot.end(threads)


async def _report(progress: Progress, log: Log) -> None:
    while True:
        await asyncio.sleep(progress.pause)
        if line := progress.next_line():
            log(line)
