"""A manifest in, what became of its rows out, on one event loop: the engine of KlingEffectBatchOperator.

Each row is a small coroutine: its images are read, its task is found or made, waited for, and its videos are saved. The
account's dispatcher says when it is a row's turn. Only so many rows are begun at once, and what became of them goes to
the disk, so that 100,000 rows need no more memory than some thousand.

What is decided here, and nowhere else: when a batch looks before it asks, whether a failed task is asked for once
more, and which errors end all rows instead of one. What happens to one task stands in `flows`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import itertools
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from airflow_provider_kling import flows
from airflow_provider_kling.dispatcher import Dispatcher
from airflow_provider_kling.earlier import Earlier
from airflow_provider_kling.effects import EffectRequest, is_url
from airflow_provider_kling.errors import (
    KlingAccountError,
    KlingAuthError,
    KlingError,
    KlingInputError,
    KlingSettingsError,
    KlingStorageError,
    KlingTimeoutError,
)
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.images import is_inline, is_portable, load_image
from airflow_provider_kling.jobs import Ended, Job
from airflow_provider_kling.manifest import RESULT_COLUMNS, BadRow, Row
from airflow_provider_kling.progress import RUNNING, SAVING, WAITING, Progress
from airflow_provider_kling.protocol import Task, is_input_fault
from airflow_provider_kling.results import INVALID, error_result, result_of
from airflow_provider_kling.spool import Spool
from airflow_provider_kling.storage import is_there, shown, storage_path

T = TypeVar("T")

QUEUED = 64  # rows that stand in the queue for a slot
QUEUED_WITH_IMAGES = 8  # … of them those whose images are sent along, up to 13 MB each
BEGUN = 5000  # rows that are under way, videos being saved included, unless `max_concurrency` wants more
CHUNK, CHUNK_CHARACTERS = 64, 1_000_000  # rows that are read in one go
THREADS = 8  # for reading images; not those of the event loop, which Airflow itself needs to get connections
LONGEST_LOOK_PAUSE = 60.0  # seconds
MOST_SAID = 50  # rows that went wrong that the log names while they do

log = logging.getLogger(__name__)
_quiet = logging.getLogger(f"{__name__}.quiet")
_quiet.setLevel(logging.WARNING)


@dataclass(frozen=True, kw_only=True)
class _Wish(flows.Wish):
    """A wish whose first tasks have failed: only ids from this number on are asked for."""

    number: int = 1

    def external_ids(self) -> Iterator[str]:
        return itertools.islice(super().external_ids(), self.number - 1, None)


@dataclass(eq=False)
class _Work:
    """A row under way: where it is, its task as soon as there is one, and what it keeps others from."""

    row: Row
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
    runs in the triggerer. With `look_first` rows are looked for before anything is created.
    """

    def __init__(
        self,
        job: Job,
        *,
        rows: Iterator[Row | BadRow],
        account: Dispatcher,
        hook: KlingHook,
        earlier: Earlier,
        progress: Progress,
        outcomes: Spool | None,
        look_first: bool,
        downloads: int,
    ) -> None:
        self.ended = Ended()
        self._job, self._rows, self._account, self._hook = job, rows, account, hook
        self._earlier, self._progress, self._outcomes, self._look_first = earlier, progress, outcomes, look_first
        self._begun = asyncio.Semaphore(max(BEGUN, (job.max_concurrency or 0) + QUEUED))
        self._at_kling = asyncio.Semaphore(job.max_concurrency or BEGUN)
        self._queue = asyncio.Semaphore(QUEUED)
        self._sending = asyncio.Semaphore(QUEUED_WITH_IMAGES)
        self._downloads = asyncio.Semaphore(downloads)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="kling-batch")
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: BaseException | None = None
        self._said = 0

    async def run(self) -> Ended:
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
            self._threads.shutdown(wait=False, cancel_futures=True)
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
        work = _Work(row)
        wanted = [self._begun, self._at_kling, self._queue]
        for permit in wanted if _only_urls(row) else [*wanted, self._sending]:
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
        row, job = work.row, self._job
        if self.ended.stopped and not self._worth_looking():
            raise copy.copy(self.ended.stopped)
        if not self._look_first:
            self._check_deadline()
        wish = await self._wish(row)
        if self._look_first and (line := await self._result_of_before(wish)):
            return {name: line.get(name) for name in RESULT_COLUMNS} | {"row_id": row.id}
        task = work.task = await self._task_of(wish)
        work.let_go(self._queue, self._sending)
        if not task.done:
            self._move(work, RUNNING)
            task = work.task = await self._account.wait(
                task.kling_task_id, deadline=job.deadline, poll_interval=job.poll_interval, status=task.status, say=log.debug
            )
        work.let_go(self._at_kling)
        paths: list[str] = []
        if job.save_to and self._outcomes is not None and task.succeeded:
            self._move(work, SAVING)
            async with self._downloads:
                paths = await self._hook.arun(flows.save(task, say=log.debug), destination=job.save_to)
        return {**result_of(task, effect_scene=row.effect_scene, paths=paths), "row_id": row.id}

    async def _wish(self, row: Row) -> _Wish:
        """What is wished for, without its images, unless they are URLs: those are read again when they are sent."""
        job = self._job

        def read() -> EffectRequest:
            return EffectRequest(row.effect_scene, [load_image(source) for source in row.images])

        def read_again() -> EffectRequest:
            again = read()
            if again.fingerprint != fingerprint:
                raise KlingInputError("An image was changed while its row waited for a slot; nothing was sent. Run this again.")
            return again

        request = read() if _only_urls(row) else await self._in_thread(read)
        fingerprint = request.fingerprint if request.portable else await self._in_thread(lambda: request.fingerprint)
        external_id = flows.wish_id(
            request, dag_id=job.dag_id, run_id=job.run_id, task_id=job.task_id, place=row.id, fresh=job.fresh
        )
        return _Wish(request=request if request.portable else read_again, external_id=external_id)

    async def _task_of(self, wish: _Wish) -> Task:
        """The task of a wish: that of an earlier attempt, or a new one.

        Each try of the Airflow task asks once more for what has failed, unless the reason lies in the input.
        """
        number, task = 0, None
        if self._look_first:
            number, task = await self._last_of(wish)
            if task and (not _may_ask_again(task) or number >= self._job.tries):
                return task
        if self.ended.stopped:
            raise copy.copy(self.ended.stopped)
        self._check_deadline()
        wish = _Wish(request=wish.request, external_id=wish.external_id, number=number + 1)
        return await self._account.create(
            wish, look_first=False, deadline=self._job.deadline, say=log.debug, group=f"{self._job.dag_id} {self._job.run_id}"
        )

    def _check_deadline(self) -> None:
        """Past the deadline nothing new is asked for."""
        if time.time() >= self._job.deadline:
            raise KlingTimeoutError("The timeout came before it was this row's turn: nothing was made, nothing was paid.")

    async def _last_of(self, wish: _Wish) -> tuple[int, Task | None]:
        """The last task of a wish, and the how manieth it is."""
        number, task = self._earlier.task(wish.external_id) or (0, None)
        for external_id in itertools.islice(wish.external_ids(), number, self._job.tries):
            if self._earlier.whole or (task and not _may_ask_again(task)):
                break
            found = await self._looked_for(external_id)
            if found is None:
                break
            number, task = number + 1, found
            await self._earlier.read_on()  # the next rows may stand there as well
        return number, task

    async def _looked_for(self, external_id: str) -> Task | None:
        """The task of this id, if there is one. Passing faults are waited out until the deadline."""
        pause = 1.0
        while True:
            try:
                return await self._hook.afind_task(external_id)
            except KlingError as error:
                left = self._job.deadline - time.time()
                if not error.retryable or left <= 0:
                    raise
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 2, LONGEST_LOOK_PAUSE)

    async def _result_of_before(self, wish: _Wish) -> Any:
        """The line of the results that an earlier attempt has written, if the videos are where they are to be."""
        line = self._earlier.result(wish.external_id)
        save_to = self._job.save_to
        if line is None or not save_to or self._outcomes is None:
            return line
        return line if await self._in_thread(lambda: all(_is_saved(video, save_to) for video in line["videos"])) else None

    def _failed(self, work: _Work, error: Exception) -> dict[str, Any]:
        row = work.row
        outcome = error_result(error, row_id=row.id, task=work.task, effect_scene=row.effect_scene)
        if isinstance(error, KlingTimeoutError):
            self.ended.running += work.task is not None
            self.ended.not_begun += work.task is None
        elif not isinstance(error, KlingError) or error.retryable or isinstance(error, KlingStorageError):
            self.ended.may_pass += 1
        if isinstance(error, KlingAuthError | KlingAccountError | KlingSettingsError):
            if self.ended.stopped is None:
                log.error("No more videos are asked for: %s", error)
                self.ended.stopped = error
        elif self._said < MOST_SAID:
            self._said += 1
            more = " Of further rows only the results tell." if self._said == MOST_SAID else ""
            log.warning("Row %s, %s: %s%s", row.id, outcome["status"], outcome["error"], more)
        return outcome

    def _worth_looking(self) -> bool:
        """Whether rows may still be found, where the account takes no more creates."""
        return self._look_first and isinstance(self.ended.stopped, KlingAccountError)

    async def _in_thread(self, function: Callable[[], T]) -> T:
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, function)


class _QuietHook(KlingHook):
    """Says of each video only what is wrong: a batch has many."""

    @property
    def log(self) -> Any:
        return _quiet


async def run(
    job: Job,
    rows: Iterator[Row | BadRow],
    *,
    count: int,
    outcomes: Spool | None,
    look_first: bool,
    say: flows.Say,
    downloads: int = 8,
    clock: Callable[[], float] = time.monotonic,
) -> Ended:
    """Work on these rows (so many), with a line about the progress now and then. See `Batch`."""
    progress = Progress(rows=count, clock=clock)
    hook = _QuietHook(job.kling_conn_id)
    with Earlier(hook) as earlier:
        async with KlingHook.dispatched(job.kling_conn_id) as account, hook:
            await hook.asettings()
            if look_first:
                await asyncio.to_thread(earlier.read_results, job.results)
                await earlier.read_on()
            batch = Batch(
                job,
                rows=rows,
                account=account,
                hook=hook,
                earlier=earlier,
                progress=progress,
                outcomes=outcomes,
                look_first=look_first,
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


async def _tell(progress: Progress, say: flows.Say) -> None:
    while True:
        await asyncio.sleep(progress.pause)
        if line := progress.news():
            say(line)


def _only_urls(row: Row) -> bool:
    return all(map(is_url, row.images))


def _may_ask_again(task: Task) -> bool:
    """Whether another task for the same request may do better."""
    return task.failed and not is_input_fault(task.message)


def _is_saved(video: Any, save_to: str) -> bool:
    path = video.get("path")
    if not path:
        return False
    file = storage_path(path)
    return shown(file.parent) == shown(storage_path(save_to)) and is_there(file)
