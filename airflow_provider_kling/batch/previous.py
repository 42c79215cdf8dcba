"""What earlier attempts of a batch left: their tasks, as the account's list shows them, and their results.

A look at the list answers for 500 rows, so it comes before asking singly. Nothing rests on it but time: its order may be
any, and what it does not show is asked for.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Mapping
from typing import Any

from airflow_provider_kling.api import MAX_PAGE_SIZE, SUCCEED, Task, page_call
from airflow_provider_kling.batch.spool import Spool
from airflow_provider_kling.errors import KlingError
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.results import RESULTS
from airflow_provider_kling.storage import is_there, read_lines, storage_path

MOST_PAGES = 400  # 200,000 tasks
WHOLE_FOR = 60.0  # seconds for which a page that showed all tasks says what does not exist

# The ids of `flows.external_id_of`, and of the attempts that follow failed ones.
_OURS = re.compile(r"(airflow-[0-9a-f]{40})(?:-(\d+))?")
log = logging.getLogger(__name__)


class PreviousAttempts:
    """Tasks and results of earlier attempts, by the external id of their submission. A context manager."""

    def __init__(self, hook: KlingHook) -> None:
        self._hook = hook
        self._tasks = Spool()
        self._numbers: dict[str, int] = {}  # of submissions that were made more than once: the number of the last time
        self._lines = Spool()
        self._pages = 0
        self._more = True
        self._whole_until = 0.0
        self._reading = asyncio.Lock()

    @property
    def whole(self) -> bool:
        """Whether one page has just shown all the tasks of the account, so that others do not exist."""
        return time.monotonic() < self._whole_until

    def task(self, external_id: str) -> tuple[int, Task] | None:
        """The last task of this submission that was seen in the list, and the how manieth of the submission it is."""
        data = self._tasks.get(external_id)
        return None if data is None else (self._numbers.get(external_id, 1), Task.from_json(data))

    def result(self, external_id: str) -> Mapping[str, Any] | None:
        """The line of an earlier results.jsonl for this submission, if it had succeeded."""
        line = self._lines.get(external_id)
        return line if isinstance(line, dict) else None

    async def read_on(self) -> None:
        """Some more pages of the list, each time twice as many. Where it cannot be read, rows are asked for singly."""
        if self._reading.locked():
            async with self._reading:
                return  # somebody else has read on
        async with self._reading:
            last = min(MOST_PAGES, self._pages * 2 + 1)
            while self._more and self._pages < last:
                await self._read_page()

    async def _read_page(self) -> None:
        try:
            page = await self._hook.acall(page_call(page_num=self._pages + 1, page_size=MAX_PAGE_SIZE))
        except KlingError as error:
            if not error.retryable:
                raise
            self._more = False
            log.warning("The list of tasks cannot be read, so rows are looked for one by one: %s", error)
            return
        self._pages += 1
        ours = 0
        for number, task in enumerate(page.tasks):
            ours += self._note(task)
            if number % 100 == 99:
                await asyncio.sleep(0)
        full = page.length == MAX_PAGE_SIZE
        if self._pages == 1 and not full and len(page.tasks) == page.length:
            self._whole_until = time.monotonic() + WHOLE_FOR
        self._more = full and ours > 0

    def read_results(self, results: str) -> None:
        """The results that stand there now. Blocks."""
        path = storage_path(results) / RESULTS
        if not is_there(path):
            return
        for text in read_lines(path):
            try:
                line = json.loads(text)
                found = _OURS.fullmatch(line["external_task_id"]) if line["status"] == SUCCEED else None
            except (ValueError, TypeError, LookupError):
                continue  # not a line of ours
            if found and line.get("videos"):
                self._lines.put(found[1], line)

    def _note(self, task: Task) -> bool:
        found = _OURS.fullmatch(task.external_task_id or "")
        if found is None:
            return False
        submission, number = found[1], int(found[2] or 1)
        if number >= self._numbers.get(submission, 1):
            self._tasks.put(submission, task.to_json())
            if number > 1:
                self._numbers[submission] = number
        return True

    def __enter__(self) -> PreviousAttempts:
        return self

    def __exit__(self, *exc: object) -> None:
        self._tasks.__exit__(None, None, None)
        self._lines.__exit__(None, None, None)
