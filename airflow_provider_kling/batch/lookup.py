"""The submissions of a batch's rows, and the lookup of their tasks in one account."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING

from airflow_provider_kling.api import Product, Task, TaskRequest, is_url
from airflow_provider_kling.batch.decision import Attempt
from airflow_provider_kling.batch.job import BatchJob
from airflow_provider_kling.batch.previous import PreviousAttempts
from airflow_provider_kling.batch.threads import Threads
from airflow_provider_kling.client import flows, last_answer_by, monotonic_now
from airflow_provider_kling.errors import KlingError, KlingInputError, KlingTimeoutError
from airflow_provider_kling.manifests import Row, load_image
from airflow_provider_kling.values import replace

if TYPE_CHECKING:
    from airflow_provider_kling.client import AsyncClient

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between two lookups of a task while the API fails


def has_only_urls(row: Row) -> bool:
    """Whether all images of the row are links, which Kling itself loads."""
    return all(map(is_url, row.images))


async def submission_of(row: Row, job: BatchJob, product: Product, threads: Threads) -> flows.Submission:
    """The submission of a row, with its images only if they are links: others are loaded again when they are sent.

    Raises KlingInputError for images that Kling does not accept.
    """

    def load() -> TaskRequest:
        return product.request_of(row.effect_scene, [load_image(source) for source in row.images])

    def load_again() -> TaskRequest:
        again = load()
        if again.fingerprint != fingerprint:
            raise KlingInputError("An image was changed while its row waited for a slot; nothing was sent. Run this again.")
        return again

    request = load() if has_only_urls(row) else await threads.run(load)
    fingerprint = request.fingerprint if request.portable else await threads.run(lambda: request.fingerprint)
    external_id = flows.external_id_of(
        request,
        dag_id=job.dag_id,
        run_id=job.run_id,
        task_id=job.task_id,
        place=row.id,
        fresh=job.fresh,
        iteration=job.iteration,
    )
    return flows.Submission(
        request=request if request.portable else load_again,
        external_id=external_id,
        max_attempts=job.tries,
        scene=row.effect_scene,
    )


class TaskLookup:
    """Finds the tasks that earlier attempts of a batch created in one account.

    `tries` is the number of the Airflow task's current try, `deadline` that of the batch on the monotonic clock.
    """

    def __init__(self, client: AsyncClient, product: Product, *, previous: PreviousAttempts, tries: int, deadline: float) -> None:
        self._client, self._product, self._previous = client, product, previous
        self._tries, self._deadline = tries, deadline
        self._given_up: KlingTimeoutError | None = None

    async def read_list(self) -> None:
        """Read the start of the account's list, which answers for many rows."""
        await self._previous.read_on()

    async def read_whole_list(self) -> None:
        """Read the account's list to its end, as far as it is read at all."""
        await self._previous.read_on(up_to=flows.MOST_PAGES)

    def is_listed(self, submission: flows.Submission) -> bool:
        """Whether the account's list has shown an attempt at this submission."""
        return self._previous.last_attempt(submission.external_id) is not None

    async def last_attempt(self, submission: flows.Submission) -> Attempt | None:
        """The last attempt at a submission, if there was one. What the list has not shown is queried.

        Faults that may pass are waited out until the deadline; any other KlingError is raised.
        """
        last = await self._listed_attempt(submission)
        first = last.number + 1 if last else 1
        for number, external_id in enumerate(replace(submission, first_attempt=first).external_ids(), first):
            if number > self._tries or (last and not last.repeatable):
                break
            task = await self._find(external_id)
            if task is None:
                break
            last = Attempt(number, task)
            await self._previous.read_on()  # the tasks of the next rows may be in the list as well
        return last

    async def _listed_attempt(self, submission: flows.Submission) -> Attempt | None:
        """The last attempt that the list has shown. A query has the last word on one that failed, or has no videos there."""
        listed = self._previous.last_attempt(submission.external_id)
        if listed is None or not listed.task.done or listed.task.videos:
            return listed
        task = await self._find(listed.task.kling_task_id)
        return listed if task is None else Attempt(listed.number, task)

    async def left_task(self, any_id: str) -> Task | None:
        """The task with which an earlier run has left a row, unless it has failed: then the row may get another one."""
        task = await self._find(any_id)
        return None if task is None or task.failed else task

    async def _find(self, any_id: str) -> Task | None:
        """The task with this external id or Kling task id, if there is one."""
        if self._given_up:
            raise copy.copy(self._given_up)
        pause = FIRST_PAUSE
        while True:
            try:
                return await self._client.run(flows.find(self._product, any_id), deadline=last_answer_by(self._deadline))
            except KlingError as error:
                remaining = self._deadline - monotonic_now()
                if not error.retryable:
                    raise
                if remaining <= 0:  # the lookups of all other rows would be in vain, too, and take their time
                    self._given_up = KlingTimeoutError(
                        f"The timeout came before Kling said whether an earlier attempt has made this task. Last answer: {error}"
                    )
                    raise self._given_up from error
            await asyncio.sleep(min(pause, remaining))
            pause = min(pause * 2, LONGEST_PAUSE)
