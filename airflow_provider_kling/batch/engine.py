"""A manifest in, what became of its rows out, on one event loop: the engine of KlingEffectBatchOperator.

Each row is a small coroutine: its images are read, its task is found or made, waited for, and its videos are saved. The
account's dispatcher says when it is a row's turn. Only so many rows are begun at once, and what became of them goes to
the disk, so that 100,000 rows need no more memory than some thousand.

What is decided here, and nowhere else: when a batch looks before it asks, whether a failed task is asked for once
more, and which errors end all rows instead of one. How rows are looked for stands in `seeking`, what happens to one
task in `flows`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeVar

from airflow_provider_kling.api import Task
from airflow_provider_kling.batch.job import BatchJob, BatchOutcome
from airflow_provider_kling.batch.lookup import InThread, RowSubmission, TaskLookup, may_ask_again, only_urls
from airflow_provider_kling.batch.previous import PreviousAttempts
from airflow_provider_kling.batch.progress import RUNNING, SAVING, WAITING, Progress
from airflow_provider_kling.batch.spool import Spool
from airflow_provider_kling.client import flows
from airflow_provider_kling.dispatch import Dispatcher
from airflow_provider_kling.errors import (
    KlingAccountError,
    KlingAuthError,
    KlingError,
    KlingSettingsError,
    KlingStorageError,
    KlingTimeoutError,
)
from airflow_provider_kling.hooks import KlingHook, conn_ids, shares_of, turn
from airflow_provider_kling.manifests import RESULT_COLUMNS, BadRow, Row, is_inline, is_portable
from airflow_provider_kling.results import INVALID, error_result, result_of

T = TypeVar("T")

QUEUED = 64  # rows that stand in the queue for a slot
QUEUED_WITH_IMAGES = 8  # … of them those whose images are sent along, up to 13 MB each
BEGUN = 5000  # rows that are under way, videos being saved included, unless `max_concurrency` wants more
CHUNK, CHUNK_CHARACTERS = 64, 1_000_000  # rows that are read in one go
THREADS = 8  # for reading images; not those of the event loop, which Airflow itself needs to get connections
MOST_SAID = 50  # rows that went wrong that the log names while they do

log = logging.getLogger(__name__)
_quiet = logging.getLogger(f"{__name__}.quiet")
_quiet.setLevel(logging.WARNING)


@dataclass(eq=False)
class Account:
    """One of the accounts that share a job."""

    dispatcher: Dispatcher
    hook: KlingHook
    seeker: TaskLookup
    stopped: KlingError | None = None  # what has ended all its rows


@dataclass(eq=False)
class _Work:
    """A row under way: where it is, its task as soon as there is one, and what it keeps others from."""

    row: Row
    account: Account
    place: str | None = None
    task: Task | None = None
    permits: list[asyncio.Semaphore] = field(default_factory=list)

    def let_go(self, *permits: asyncio.Semaphore) -> None:
        for permit in [held for held in self.permits if not permits or held in permits]:
            self.permits.remove(permit)
            permit.release()


class Batch:
    """The rows of one job. `rows` brings them from the beginning; what becomes of them goes into `outcomes` by number.

    Without a place for outcomes no video is saved, and rows whose images only a worker can read are left to it: so it
    runs in the triggerer. With `adopt_existing` rows are looked for before anything is created.
    """

    def __init__(
        self,
        job: BatchJob,
        *,
        rows: Iterator[Row | BadRow],
        accounts: Sequence[Account],
        shares: Sequence[int],
        in_thread: InThread,
        progress: Progress,
        outcomes: Spool | None,
        adopt_existing: bool,
        downloads: int,
    ) -> None:
        self.ended = BatchOutcome()
        self._job, self._rows, self._accounts, self._shares, self._in_thread = job, rows, accounts, shares, in_thread
        self._progress, self._outcomes, self._look_first = progress, outcomes, adopt_existing
        self._begun = asyncio.Semaphore(max(BEGUN, (job.max_concurrency or 0) + QUEUED))
        self._at_kling = asyncio.Semaphore(job.max_concurrency or BEGUN)
        # Rows of an account without a free slot are not to keep those of another one from beginning.
        self._queue = asyncio.Semaphore(QUEUED if len(accounts) == 1 else BEGUN)
        self._sending = asyncio.Semaphore(QUEUED_WITH_IMAGES)
        self._downloads = asyncio.Semaphore(downloads)
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: BaseException | None = None
        self._said = 0

    async def run(self) -> BatchOutcome:
        """Work on all rows, to the end of each."""
        try:
            while chunk := await self._in_thread(self._read_some):
                for row in chunk:
                    if isinstance(row, BadRow):
                        self._progress.end(INVALID)
                    else:
                        await self._begin(row)
            while self._tasks:
                await asyncio.wait(self._tasks)
            self._check()
        finally:
            left = list(self._tasks)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        self.ended.counts = dict(self._progress.ended)
        return self.ended

    # --- Rows as they come

    def _read_some(self) -> list[Row | BadRow]:
        """The next rows; few where images stand in the manifest itself."""
        chunk: list[Row | BadRow] = []
        characters = 0
        while len(chunk) < CHUNK and characters < CHUNK_CHARACTERS and (row := next(self._rows, None)):
            chunk.append(row)
            characters += sum(map(len, row.images)) if isinstance(row, Row) else 0
        return chunk

    async def _begin(self, row: Row) -> None:
        """Start work on a row, as soon as not too many others are under way."""
        self._check()
        if self._outcomes is None and not all(is_inline(image) or is_portable(image) for image in row.images):
            self.ended.left += 1
            return
        work = _Work(row, self._accounts[turn(row.number, self._shares)])
        wanted = [self._begun, self._at_kling, self._queue]
        for permit in wanted if only_urls(row) else [*wanted, self._sending]:
            await permit.acquire()
            work.permits.append(permit)
        self._move(work, WAITING)
        task = asyncio.create_task(self._serve(work))
        self._tasks.add(task)
        task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            self._broken = self._broken or task.exception()

    def _check(self) -> None:
        """A mistake of this module, or a full disk, ends the batch; it is no row's fault."""
        if self._broken:
            raise self._broken

    def _move(self, work: _Work, place: str | None) -> None:
        self._progress.move(work.place, place)
        work.place = place

    # --- One row

    async def _serve(self, work: _Work) -> None:
        try:
            outcome = await self._outcome(work)
        except Exception as error:  # noqa: BLE001 - a row fails alone, whatever it stumbles over
            outcome = self._failed(work, error)
        finally:
            self._move(work, None)
            work.let_go()
        self._progress.end(outcome["status"], units=Decimal(outcome["units"] or 0))
        if self._outcomes is not None:
            self._outcomes.put(work.row.number, outcome)

    async def _outcome(self, work: _Work) -> dict[str, Any]:
        job = self._job
        task = await self._asked(work)
        if isinstance(task, dict):
            return task
        work.task, work.row = task, replace(work.row, images=())  # of those written out in the manifest, no more is needed
        work.let_go(self._queue, self._sending)
        if not task.done:
            self._move(work, RUNNING)
            task = work.task = await work.account.dispatcher.wait(
                task.kling_task_id, deadline=job.deadline, poll_interval=job.poll_interval, status=task.status, say=log.debug
            )
        work.let_go(self._at_kling)
        paths: list[str] = []
        if job.save_to and self._outcomes is not None and task.succeeded:
            self._move(work, SAVING)
            async with self._downloads:
                paths = await work.account.hook.arun(flows.save(task, say=log.debug), destination=job.save_to)
        return {**result_of(task, effect_scene=work.row.effect_scene, paths=paths), "row_id": work.row.id}

    async def _asked(self, work: _Work) -> Task | dict[str, Any]:
        """The row's task, found or made; or the outcome that earlier results have."""
        if work.account.stopped and not self._worth_looking(work.account):
            raise copy.copy(work.account.stopped)
        if not self._look_first:
            self._check_deadline()
        submission = await work.account.seeker.submission(work.row)
        if self._look_first and (line := await self._accounts[0].seeker.result(submission, saved=self._outcomes is not None)):
            return {name: line.get(name) for name in RESULT_COLUMNS} | {"row_id": work.row.id}
        return await self._task_of(work, submission)

    async def _task_of(self, work: _Work, submission: RowSubmission) -> Task:
        """The task of a submission: that of an earlier attempt, in whichever account, or a new one.

        Each try of the Airflow task asks once more for what has failed, unless the reason lies in the input.
        """
        number, task = 0, None
        if self._look_first:
            for account in sorted(self._accounts, key=lambda account: account is not work.account):
                number, task = await account.seeker.last_of(submission)
                if task:
                    work.account = account
                    break
            if task and (not may_ask_again(task) or number >= self._job.tries):
                return task
        if work.account.stopped:
            raise copy.copy(work.account.stopped)
        self._check_deadline()
        submission = RowSubmission(request=submission.request, external_id=submission.external_id, number=number + 1)
        return await work.account.dispatcher.create(
            submission,
            adopt_existing=False,
            deadline=self._job.deadline,
            say=log.debug,
            group=f"{self._job.dag_id} {self._job.run_id}",
        )

    def _check_deadline(self) -> None:
        """Past the deadline nothing new is asked for."""
        if time.time() >= self._job.deadline:
            raise KlingTimeoutError("The timeout came before it was this row's turn: nothing was made, nothing was paid.")

    def _failed(self, work: _Work, error: Exception) -> dict[str, Any]:
        row = work.row
        outcome = error_result(error, row_id=row.id, task=work.task, effect_scene=row.effect_scene)
        if isinstance(error, KlingTimeoutError):
            self.ended.running += work.task is not None
            self.ended.not_begun += work.task is None
        elif not isinstance(error, KlingError) or error.retryable or isinstance(error, KlingStorageError):
            self.ended.may_pass += 1
        if isinstance(error, KlingAuthError | KlingAccountError | KlingSettingsError):
            if work.account.stopped is None:
                of = f" of {work.account.hook.kling_conn_id}" if len(self._accounts) > 1 else ""
                log.error("No more videos are asked for%s: %s", of, error)
                work.account.stopped = error
                self.ended.stopped = self.ended.stopped or error
        elif self._said < MOST_SAID:
            self._said += 1
            more = " Of further rows only the results tell." if self._said == MOST_SAID else ""
            log.warning("Row %s, %s: %s%s", row.id, outcome["status"], outcome["error"], more)
        return outcome

    def _worth_looking(self, account: Account) -> bool:
        """Whether rows may still be found, where the account takes no more creates."""
        return self._look_first and isinstance(account.stopped, KlingAccountError)


class _QuietHook(KlingHook):
    """Says of each video only what is wrong: a batch has many."""

    @property
    def log(self) -> Any:
        return _quiet


async def run(
    job: BatchJob,
    rows: Iterator[Row | BadRow],
    *,
    count: int,
    outcomes: Spool | None,
    adopt_existing: bool,
    say: flows.Log,
    downloads: int = 8,
    clock: Callable[[], float] = time.monotonic,
) -> BatchOutcome:
    """Work on these rows (so many), with a line about the progress now and then. See `Batch`."""
    progress = Progress(rows=count, clock=clock)
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="kling-batch")

    async def in_thread(function: Callable[[], T]) -> T:
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(threads, context.run, function)

    async with contextlib.AsyncExitStack() as opened:
        opened.callback(threads.shutdown, wait=False, cancel_futures=True)
        accounts: list[Account] = []
        for hook in map(_QuietHook, conn_ids(job.kling_conn_id)):
            earlier = opened.enter_context(PreviousAttempts(hook))
            account = await opened.enter_async_context(KlingHook.dispatched(hook.kling_conn_id))
            await opened.enter_async_context(hook)
            await hook.asettings()
            if adopt_existing:
                if not accounts:
                    await asyncio.to_thread(earlier.read_results, job.results)
                await earlier.read_on()
            accounts.append(Account(account, hook, TaskLookup(job, hook=hook, earlier=earlier, in_thread=in_thread)))
        batch = Batch(
            job,
            rows=rows,
            accounts=accounts,
            shares=shares_of([account.hook for account in accounts]),
            in_thread=in_thread,
            progress=progress,
            outcomes=outcomes,
            adopt_existing=adopt_existing,
            downloads=downloads,
        )
        teller = asyncio.create_task(_tell(progress, say))
        try:
            return await batch.run()
        finally:
            teller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await teller
            if line := progress.news():
                say(line)


async def _tell(progress: Progress, say: flows.Log) -> None:
    while True:
        await asyncio.sleep(progress.pause)
        if line := progress.news():
            say(line)
