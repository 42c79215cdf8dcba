"""How the rows of a batch are looked for: what is wished for, and what earlier attempts have come to."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from airflow_provider_kling.api import EffectRequest, Task, is_input_fault, is_url
from airflow_provider_kling.batch.job import BatchJob
from airflow_provider_kling.batch.previous import PreviousAttempts
from airflow_provider_kling.client import flows
from airflow_provider_kling.errors import KlingError, KlingInputError
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.manifests import Row, load_image
from airflow_provider_kling.storage import is_there, shown, storage_path

T = TypeVar("T")

LONGEST_LOOK_PAUSE = 60.0  # seconds


class InThread(Protocol):
    """Does what blocks, elsewhere."""

    def __call__(self, function: Callable[[], T]) -> Awaitable[T]: ...


@dataclass(frozen=True, kw_only=True)
class RowSubmission(flows.Submission):
    """A submission whose first tasks have failed: only ids from this number on are asked for."""

    number: int = 1

    def external_ids(self) -> Iterator[str]:
        return itertools.islice(super().external_ids(), self.number - 1, None)


class TaskLookup:
    """Knows the submission of each row of a job, and finds its task."""

    def __init__(self, job: BatchJob, *, hook: KlingHook, earlier: PreviousAttempts, in_thread: InThread) -> None:
        self._job, self._hook, self._earlier, self._in_thread = job, hook, earlier, in_thread

    async def submission(self, row: Row) -> RowSubmission:
        """What is wished for, without its images, unless they are URLs: those are read again when they are sent."""
        job = self._job

        def read() -> EffectRequest:
            return EffectRequest(row.effect_scene, [load_image(source) for source in row.images])

        def read_again() -> EffectRequest:
            again = read()
            if again.fingerprint != fingerprint:
                raise KlingInputError("An image was changed while its row waited for a slot; nothing was sent. Run this again.")
            return again

        request = read() if only_urls(row) else await self._in_thread(read)
        fingerprint = request.fingerprint if request.portable else await self._in_thread(lambda: request.fingerprint)
        external_id = flows.external_id_of(
            request, dag_id=job.dag_id, run_id=job.run_id, task_id=job.task_id, place=row.id, fresh=job.fresh
        )
        return RowSubmission(request=request if request.portable else read_again, external_id=external_id)

    async def last_of(self, submission: RowSubmission) -> tuple[int, Task | None]:
        """The last task of a submission, and the how manieth it is."""
        number, task = self._earlier.task(submission.external_id) or (0, None)
        for external_id in itertools.islice(submission.external_ids(), number, self._job.tries):
            if self._earlier.whole or (task and not may_ask_again(task)):
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

    async def result(self, submission: RowSubmission, *, saved: bool) -> Any:
        """The line of the results that an earlier attempt has written, if its videos are where they are to be.

        Without `saved` the videos are not looked for.
        """
        line = self._earlier.result(submission.external_id)
        save_to = self._job.save_to
        if line is None or not save_to or not saved:
            return line
        return line if await self._in_thread(lambda: all(_is_saved(video, save_to) for video in line["videos"])) else None


def only_urls(row: Row) -> bool:
    return all(map(is_url, row.images))


def may_ask_again(task: Task) -> bool:
    """Whether another task for the same request may do better."""
    return task.failed and not is_input_fault(task.message)


def _is_saved(video: Any, save_to: str) -> bool:
    path = video.get("path")
    if not path:
        return False
    file = storage_path(path)
    return shown(file.parent) == shown(storage_path(save_to)) and is_there(file)
