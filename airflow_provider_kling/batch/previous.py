"""What earlier attempts of a batch left: their tasks, as an account's list shows them, and the results that they wrote.

One page of the list answers for 500 rows, so it is read before tasks are queried one by one. The list only saves time: it
may come in any order, late or cut short. A task that it does not show is queried, and so is one of which it does not say all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.api import FAILED, MAX_PAGE_SIZE, SUCCEED, Page, Product, Task, page_call
from airflow_provider_kling.batch.decision import Attempt
from airflow_provider_kling.batch.spool import Spool
from airflow_provider_kling.client import flows, last_answer_by, monotonic_now
from airflow_provider_kling.errors import KlingError
from airflow_provider_kling.naming import SaveAs
from airflow_provider_kling.object_paths import storage_path
from airflow_provider_kling.results import INVALID, RESULTS, intact_lines, sidecars_are_written
from airflow_provider_kling.saved_videos import is_saved
from airflow_provider_kling.storage import exists

if TYPE_CHECKING:
    from airflow_provider_kling.client import AsyncClient

MOST_PAGES = 400  # 200,000 tasks
LIST_TIMEOUT = 30.0  # seconds for one page: the list only saves time
TASKS_AT_ONCE = 100  # tasks of a page that are stored before others get their turn on the event loop

logger = logging.getLogger(__name__)


class PreviousAttempts:
    """The tasks of earlier attempts in one account, by the external id of their submission. A context manager.

    `deadline`, on the monotonic clock, bounds the reading of the list. `made` gets what it shows of this run.
    """

    def __init__(self, client: AsyncClient, product: Product, *, deadline: float, made: flows.MadeInRun | None) -> None:
        self._client, self._product, self._deadline = client, product, deadline
        self._tasks = Spool()
        self._made = made
        self._numbers: dict[str, int] = {}  # of submissions with several attempts: the number of the last one
        self._pages = 0
        self._has_more = True
        self._reading = asyncio.Lock()

    def last_attempt(self, external_id: str) -> Attempt | None:
        """The last attempt at the submission with this external id that the list has shown."""
        data = self._tasks.get(external_id)
        return None if data is None else Attempt(self._numbers.get(external_id, 1), Task.from_json(data))

    async def read_on(self, *, up_to: int = 0) -> None:
        """Read more pages of the list, each time twice as many, or up to a page. A list that cannot be read is given up."""
        if self._reading.locked():
            async with self._reading:
                return  # another row has read on
        async with self._reading:
            last = min(MOST_PAGES, max(up_to, self._pages * 2 + 1))
            while self._has_more and self._pages < last:
                await self._read_page()

    async def _read_page(self) -> None:
        try:
            call = page_call(self._product, page_num=self._pages + 1, page_size=MAX_PAGE_SIZE)
            page = await self._client.send(call, deadline=last_answer_by(min(self._deadline, monotonic_now() + LIST_TIMEOUT)))
        except KlingError as error:
            if not error.retryable:
                raise
            self._has_more = False
            logger.warning(
                "Connection %s: the list of tasks cannot be read%s, so rows are looked up one by one: %s",
                self._client.settings.conn_id,
                " any further" if self._pages else "",
                error,
            )
            return
        self._pages += 1
        found = await self._store(page)
        self._has_more = page.length == MAX_PAGE_SIZE and found > 0

    async def _store(self, page: Page) -> int:
        """Keep the tasks of a page that are attempts at a submission of this package; returns how many those are."""
        found = 0
        for number, task in enumerate(page.tasks, 1):
            if attempt := flows.attempt_of(task.external_task_id):
                found += 1
                self._keep_last(*attempt, task)
            if number % TASKS_AT_ONCE == 0:
                await asyncio.sleep(0)
        return found

    def _keep_last(self, external_id: str, number: int, task: Task) -> None:
        if self._made is not None:
            self._made.see(task)
        if number >= self._numbers.get(external_id, 1):
            self._tasks.put(external_id, task.to_json())
            if number > 1:
                self._numbers[external_id] = number

    def __enter__(self) -> PreviousAttempts:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._tasks.__exit__(kind, error, traceback)


class PreviousResults:
    """The lines of an earlier results.jsonl whose rows succeeded, by the external id of their submission. A context manager."""

    def __init__(self) -> None:
        self._lines = Spool()
        self._failures: set[int] = set()

    def read(self, results: str) -> None:
        """Read the results in this folder or URI, if there are any. Blocks."""
        path = storage_path(results) / RESULTS
        if not exists(path):
            return
        for line in intact_lines(path):
            if line["status"] in (FAILED, INVALID):
                self._failures.add(hash((line["id"], line["status"], line["kling_task_id"])))
            if line["status"] != SUCCEED:
                continue
            if attempt := flows.attempt_of(line["external_task_id"]):
                self._lines.put(attempt[0], line)

    def line(self, external_id: str) -> Mapping[str, Any] | None:
        """The line of the submission with this external id."""
        line = self._lines.get(external_id)
        return line if isinstance(line, dict) else None

    def has_failure(self, row_id: str, status: str, kling_task_id: str | None) -> bool:
        """Whether the row has ended before in the same way: with the same failed task, or invalid."""
        return hash((row_id, status, kling_task_id)) in self._failures

    def __enter__(self) -> PreviousResults:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._lines.__exit__(kind, error, traceback)


def videos_are_saved(line: Mapping[str, Any], save_to: str, save_as: SaveAs) -> bool:
    """Whether all that `save_as` asks for of a line of results exists in the folder or URI `save_to`. Blocks."""
    videos = line["videos"]
    for index, video in enumerate(videos):
        wanted = {False: video["path"], **({True: video.get("watermark_path")} if save_as.watermark else {})}
        for watermark, path in wanted.items():
            ids = (line["kling_task_id"], line["external_task_id"])
            names = save_as.video(*ids, index=index, count=len(videos), watermark=watermark)
            if not (path and is_saved(save_to, names, path)) and not (watermark and not video["watermark_url"]):
                return False
    return not save_as.sidecar or sidecars_are_written(line)
