"""The active rows of a batch, from start to end, and how many of them there may be in each stage.

The limits bound the memory that a batch needs, whatever the length of its manifest.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from airflow_provider_kling.api import Task
from airflow_provider_kling.batch.account import Account
from airflow_provider_kling.batch.job import BatchJob
from airflow_provider_kling.batch.lookup import has_only_urls
from airflow_provider_kling.batch.progress import RUNNING, Progress
from airflow_provider_kling.manifests import Row

QUEUED = 64  # rows that wait for a slot
QUEUED_WITH_IMAGES = 8  # … of them those whose images are sent along, up to 13 MB each
MOST_ACTIVE = 5000  # rows from their start until their videos are saved, unless `max_concurrency` needs more


@dataclass(eq=False)
class ActiveRow:
    """A row that has started: its stage, its task as soon as there is one, and the permits that it holds."""

    row: Row
    account: Account
    progress: Progress
    stage: str | None = None
    worked: bool = False  # this batch has waited for its task, which was not done before
    task: Task | None = None
    adopted: bool = False  # its task is one of an earlier attempt
    saved: bool | None = None  # whether this batch has stored one of its videos; None where none were to be saved
    counted_before: bool = False  # in the metrics, as its line in earlier results shows
    external_id: str | None = None  # of its submission, once its images are read
    permits: list[asyncio.Semaphore] = field(default_factory=list)

    def move(self, stage: str | None) -> None:
        self.progress.move(self.stage, stage)
        self.stage = stage
        self.worked = self.worked or stage == RUNNING

    def has_task(self, task: Task) -> None:
        """The row's task exists. Images that the manifest itself holds are dropped, since no later stage needs them."""
        self.task, self.row = task, replace(self.row, images=())

    async def acquire(self, *permits: asyncio.Semaphore) -> None:
        for permit in permits:
            await permit.acquire()
            self.permits.append(permit)

    def release(self, *permits: asyncio.Semaphore) -> None:
        """Give back those of these permits that the row holds."""
        for permit in [held for held in self.permits if held in permits]:
            self.permits.remove(permit)
            permit.release()

    def end(self) -> None:
        """Leave the last stage, and give back all permits."""
        self.move(None)
        self.release(*self.permits)


class Limits:
    """One permit for each row that may be in a stage at the same time."""

    def __init__(self, job: BatchJob, *, accounts: int) -> None:
        self._active = asyncio.Semaphore(max(MOST_ACTIVE, (job.max_concurrency or 0) + QUEUED))
        self._at_kling = asyncio.Semaphore(job.max_concurrency or MOST_ACTIVE)
        # Rows of an account without a free slot must not keep those of another account from starting.
        self._queue = asyncio.Semaphore(QUEUED if accounts == 1 else MOST_ACTIVE)
        self._with_images = asyncio.Semaphore(QUEUED_WITH_IMAGES)

    async def admit(self, active: ActiveRow) -> None:
        """Wait until the row may start: until few enough rows are active, at Kling, and in the queue for a slot."""
        await active.acquire(self._active, self._at_kling, self._queue)
        if not has_only_urls(active.row):
            await active.acquire(self._with_images)

    def created(self, active: ActiveRow) -> None:
        """The row's task exists: the row no longer waits for a slot."""
        active.release(self._queue, self._with_images)

    def done(self, active: ActiveRow) -> None:
        """The row's task is done: it no longer runs at Kling."""
        active.release(self._at_kling)
