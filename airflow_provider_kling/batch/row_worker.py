"""The way of one row: reuse its earlier result, or adopt or create its task; wait until that is done; save its videos."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_kling.api import Product, Task
from airflow_provider_kling.batch.account import Account
from airflow_provider_kling.batch.active_row import ActiveRow, Limits
from airflow_provider_kling.batch.counting import RowMetrics
from airflow_provider_kling.batch.decision import Adopt, Attempt, Create, Decision, Fail, Reuse, decide
from airflow_provider_kling.batch.job import BatchJob
from airflow_provider_kling.batch.lookup import submission_of
from airflow_provider_kling.batch.previous import PreviousResults, videos_are_saved
from airflow_provider_kling.batch.progress import RUNNING, SAVING
from airflow_provider_kling.batch.threads import Threads
from airflow_provider_kling.client import Downloads, LevelLog, flows, last_answer_by, monotonic_now
from airflow_provider_kling.errors import KlingError, KlingTimeoutError
from airflow_provider_kling.manifests import RESULT_COLUMNS
from airflow_provider_kling.naming import SaveAs
from airflow_provider_kling.results import saved_result, write_sidecars
from airflow_provider_kling.values import replace

LOOKUP_GRACE = 30.0  # seconds past the deadline in which rows are still looked up, to adopt the tasks that they have

logger = logging.getLogger(__name__)
log = logger.debug  # for the lines of flows: a batch has too many videos to log each of them


class _QuietLog(LevelLog):
    """Logs warnings as they are, and all else at DEBUG."""

    def __call__(self, message: str, level: int = logging.INFO) -> object:
        return super().__call__(message, level if level >= logging.WARNING else logging.DEBUG)


QUIET = _QuietLog(logger)  # for what is saved


class RowWorker:
    """Works on one row after the other, or on many at once.

    `previous` holds the results of earlier attempts; without it nothing is looked up, because no earlier attempt created
    anything. With `downloads` videos are saved under the job's `save_to`. `deadline` is on the monotonic clock.
    """

    def __init__(
        self,
        job: BatchJob,
        product: Product,
        *,
        accounts: Sequence[Account],
        previous: PreviousResults | None,
        made: flows.MadeInRun | None,
        threads: Threads,
        limits: Limits,
        downloads: Downloads | None,
        metrics: RowMetrics,
        deadline: float,
        save_timeout: float,
    ) -> None:
        self._job, self._product = job, product
        self._allowance, self._made = job.allowance, made
        self._accounts, self._previous, self._threads, self._limits = accounts, previous, threads, limits
        self._metrics = metrics
        self._downloads, self._deadline, self._save_timeout = downloads, deadline, save_timeout
        self._save_to = job.save_to if downloads else None

    async def outcome_of(self, active: ActiveRow) -> dict[str, Any]:
        """The result of the row, when its task is done and its videos are saved. Raises whatever it fails with."""
        found = await self._line_or_task(active)
        if not isinstance(found, Task):
            return {name: found.get(name) for name in RESULT_COLUMNS} | {"row_id": active.row.id}
        active.has_task(found)
        self._limits.created(active)
        task = await self._with_videos(active, await self._wait(active, found))
        self._limits.done(active)
        return await self._save(active, task)

    # --- Reuse, adopt or create

    async def _line_or_task(self, active: ActiveRow) -> Mapping[str, Any] | Task:
        """The line that an earlier attempt wrote for the row; or the row's task, adopted or created."""
        if active.row.left_task and (task := await self._left_task(active, active.row.left_task)):
            return task
        look_up = self._previous is not None and active.account.answers_lookups
        decision = self._decide(active)
        if not look_up and isinstance(decision, Fail):
            raise decision.error  # before its images are read
        submission = await submission_of(active.row, self._job, self._product, self._threads)
        active.external_id = submission.external_id
        decision = await self._look_up(active, submission) if look_up else self._decide(active)
        match decision:
            case Reuse(line):
                return line
            case Adopt(task):
                self._metrics.adopted(active)
                return task
            case Create(attempt):
                if self._made is not None:
                    self._made.begin(submission)
                return await self._create(active, replace(submission, first_attempt=attempt))
            case Fail(error):
                raise error

    async def _left_task(self, active: ActiveRow, task_id: str) -> Task | None:
        """The task that the manifest names for the row, in whichever account: an earlier run has paid for it."""
        own = active.account
        for account in sorted(self._accounts, key=lambda account: account is not own):
            if account.answers_lookups and (task := await account.lookup.left_task(task_id)):
                active.account = account
                self._metrics.adopted(active)
                return task
        return None

    def _decide(
        self,
        active: ActiveRow,
        *,
        line: Mapping[str, Any] | None = None,
        last: Attempt | None = None,
        submission: flows.Submission | None = None,
    ) -> Decision:
        """What happens to the row, as its account and the clock are now."""
        expired = monotonic_now() >= self._deadline
        capped = self._capped(active, submission)
        return decide(line=line, last=last, tries=self._job.tries, capped=capped, stopped=active.account.stopped, expired=expired)

    def _capped(self, active: ActiveRow, submission: flows.Submission | None) -> KlingError | None:
        """The error of a row that the run's cap does not pay for. Its `submission` tells what the run has made before."""
        if self._allowance is None:
            return None
        if submission is None or self._made is None:
            return self._allowance.refusal(active.row.number)
        before, others = self._made.before(submission), self._made.others(submission)
        return self._allowance.refusal(active.row.number, paid_before=before, others=others)

    async def _look_up(self, active: ActiveRow, submission: flows.Submission) -> Decision:
        """What happens to the row, given what earlier attempts left. The row moves to the account that has its task."""
        if line := await self._saved_line(active, submission):
            return self._decide(active, line=line)
        if monotonic_now() > self._deadline + LOOKUP_GRACE:
            raise KlingTimeoutError(
                "The timeout came before it was this row's turn. Run this again: a task that it has is adopted."
            )
        last: Attempt | None = None
        for account in self._most_likely_first(active.account, submission):
            found = await account.lookup.last_attempt(submission)
            if found and (last is None or found.number > last.number or not found.repeatable):
                last, active.account = found, account
            if last and not last.repeatable:
                break
        return self._decide(active, last=last, submission=submission)

    def _most_likely_first(self, assigned: Account, submission: flows.Submission) -> list[Account]:
        """All accounts: one that does not show the task may have it, so each is asked before the row's own creates one."""
        return sorted(self._accounts, key=lambda account: (not account.lookup.is_listed(submission), account is not assigned))

    async def _saved_line(self, active: ActiveRow, submission: flows.Submission) -> Mapping[str, Any] | None:
        """The line that an earlier attempt wrote for the row, unless its videos are to be saved and are not."""
        line = self._previous.line(submission.external_id) if self._previous else None
        save_to, active.counted_before = self._save_to, line is not None
        if line is None or not save_to:
            return line
        save_as = self._job.save_as(active.row)
        return line if await self._threads.run(lambda: videos_are_saved(line, save_to, save_as)) else None

    async def _create(self, active: ActiveRow, submission: flows.Submission) -> Task:
        group = f"{self._job.dag_id} {self._job.run_id}"
        return await active.account.dispatcher.create(submission, deadline=self._unix_deadline(), log=log, group=group)

    # --- Wait and save

    async def _wait(self, active: ActiveRow, task: Task) -> Task:
        """The row's task, done."""
        if task.done:
            return task
        active.move(RUNNING)
        active.task = await active.account.dispatcher.wait(
            task.kling_task_id, deadline=self._unix_deadline(), poll_interval=self._job.poll_interval, log=log, status=task.status
        )
        return active.task

    async def _with_videos(self, active: ActiveRow, task: Task) -> Task:
        """The task as a query shows it, if it has succeeded and the list has left out its videos."""
        if task.succeeded and not task.videos:
            flow = flows.look_up(self._product, task.kling_task_id)
            active.task = task = await active.account.client.run(flow, deadline=last_answer_by(self._deadline), log=log)
        return task

    def _unix_deadline(self) -> float:
        """The deadline as the dispatcher takes it: by the wall clock as it is now."""
        return time.time() + self._deadline - monotonic_now()

    async def _save(self, active: ActiveRow, task: Task) -> dict[str, Any]:
        """The row's result, with what is saved of its task: nothing where nothing is to be, or the task failed."""
        row, save_as, files = active.row, self._job.save_as(active.row), None
        if self._downloads and self._save_to and task.succeeded:
            files = await self._save_files(active, task, self._downloads, self._save_to, save_as)
        result = saved_result(task, files, effect_scene=row.effect_scene, row_id=row.id)
        if files and save_as.sidecar:
            await self._threads.run(lambda: write_sidecars(result))
        return result

    async def _save_files(
        self, active: ActiveRow, task: Task, downloads: Downloads, save_to: str, save_as: SaveAs
    ) -> flows.SavedFiles:
        active.move(SAVING)
        deadline = max(self._deadline, monotonic_now() + self._save_timeout)
        client, active.saved = active.account.client, False

        async def take(step: flows.Step) -> Any:
            brought = await client.take(step, deadline=deadline)
            active.saved = active.saved or (isinstance(brought, flows.Saved) and brought.new)
            return brought

        options: dict[str, Any] = {"log": QUIET, "deadline": deadline, "save_as": save_as, "take": take}
        return await downloads.save(client, self._product, task, save_to, **options)
