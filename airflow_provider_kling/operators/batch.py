"""KlingEffectBatchOperator: a manifest of any size in one Airflow task."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, conf

from airflow_provider_kling.outcomes import earlier_attempt, recording_failures, seconds, task_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.batch import BatchJob, BatchOutcome
    from airflow_provider_kling.manifests import BadRow, Row

    Rows = Callable[[Callable[[str], object] | None], Iterator[BadRow | Row]]

SUMMARY = "summary"  # XCom: what the results come to, also where the task fails
VIDEOS = "{results}/videos"
MOST_SAID = 50  # bad rows in the log


class KlingEffectBatchOperator(BaseOperator):
    """Makes the videos of a whole manifest, and leaves `results.jsonl` and `report.html`. Returns a small summary.

    A row that fails fails alone: `max_failures` says how many of them fail the task. Whatever is retried, cleared or
    killed: rows that were asked for are found again, and nothing is paid twice.

    :param manifest: path or URI of the manifest. Templated.
    :param results: folder or URI for results and report. Templated.
    :param save_to: folder or URI for the videos; `{results}` stands for `results`. None saves none. Templated.
    :param max_concurrency: the most tasks of this manifest at Kling at once. Default: as many as the account has slots.
    :param max_failures: so many rows without a video, or such a part of them (`0.05`, `"5%"`), leave the task green; more
        fail it, after the results are written. Default: any number. Templated.
    :param kling_conn_id: the connection of the account, or a list of them (as text: with commas) whose accounts share the
        rows. Templated.
    :param format: `csv`, `jsonl` or `json`, where the manifest's suffix does not tell.
    :param strict: a scene that is unknown or discontinued makes a row bad instead of a warning.
    :param fresh: any text; another text asks for another video of each row. Templated.
    :param poll_interval: seconds between two looks at a task, at most.
    :param timeout: seconds, or a timedelta, for all rows of one try. Default 24 hours.
    :param downloads: how many videos are saved at once.
    :param shard: only a part of the rows, `"3/10"` or `(3, 10)`: those whose number n has n % 10 == 3. Templated.
    :param deferrable: create and wait in the triggerer, where it can read the manifest; videos are saved by a worker.
        Default: Airflow's `[operators] default_deferrable`.
    """

    template_fields: Sequence[str] = ("manifest", "results", "save_to", "max_failures", "kling_conn_id", "fresh", "shard")
    ui_color = "#0b3d2e"
    ui_fgcolor = "#ffffff"

    def __init__(
        self,
        *,
        manifest: str,
        results: str,
        save_to: str | None = VIDEOS,
        max_concurrency: int | None = None,
        max_failures: int | float | str | None = None,
        kling_conn_id: str | Sequence[str] = "kling_default",
        format: str | None = None,
        strict: bool = False,
        fresh: str | None = None,
        poll_interval: float | timedelta = 10.0,
        timeout: float | timedelta = timedelta(hours=24),
        downloads: int = 8,
        shard: str | tuple[int, int] | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.manifest = manifest
        self.results = results
        self.save_to = save_to
        self.max_concurrency = max_concurrency
        self.max_failures = max_failures
        self.kling_conn_id = kling_conn_id
        self.format = format
        self.strict = strict
        self.fresh = fresh
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.downloads = downloads
        self.shard = shard
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        with recording_failures(context, row_id=None):
            job = self._job(context, deadline=time.time() + seconds(self.timeout, "timeout"))
            return self._work(context, job, adopt_existing=earlier_attempt(context), may_defer=self.deferrable)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Called when the trigger has fired: all rows are done, or timed out. Finds them, saves videos, writes results."""
        from airflow_provider_kling.errors import KlingAnswerError

        with recording_failures(context, row_id=None):
            match event:
                case {"batch": dict(counts), "deadline": int() | float() as deadline}:
                    self.log.info("The triggerer is through with all rows: %s. Saving what there is.", _listed(counts))
                case _:
                    task_of(event)  # raises what it says, or that nobody knows it
                    raise KlingAnswerError("The trigger ended with the event of another operator.")
            return self._work(context, self._job(context, deadline=float(deadline)), adopt_existing=True, may_defer=False)

    def on_kill(self) -> None:
        self.log.info(
            "Stopped. Kling has no cancel: tasks that were created go on there and will be charged. "
            "Run this task again to take them without paying twice."
        )

    def _job(self, context: Context, *, deadline: float) -> BatchJob:
        from airflow_provider_kling.batch import BatchJob, shard_of
        from airflow_provider_kling.errors import KlingInputError
        from airflow_provider_kling.hooks import conn_ids

        for name in ("max_concurrency", "downloads"):
            value = getattr(self, name)
            if (value is not None or name == "downloads") and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise KlingInputError(f"{name} is {value!r}; wanted is a whole number from 1 on.")
        shard = shard_of(self.shard)
        ti = context["ti"]
        return BatchJob(
            manifest=self.manifest,
            results=self.results,
            save_to=self.save_to.replace("{results}", self.results.rstrip("/")) if self.save_to else None,
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            kling_conn_id=",".join(conn_ids(self.kling_conn_id)),
            deadline=deadline,
            format=self.format,
            strict=self.strict,
            shard="{}/{}".format(*shard) if shard else None,
            fresh=self.fresh,
            poll_interval=seconds(self.poll_interval, "poll_interval"),
            max_concurrency=self.max_concurrency,
            tries=max(1, ti.try_number),
        )

    def _work(self, context: Context, job: BatchJob, *, adopt_existing: bool, may_defer: bool) -> dict[str, Any]:
        import asyncio

        from airflow_provider_kling.batch import Spool, in_shard, limit_of
        from airflow_provider_kling.batch import engine as batch
        from airflow_provider_kling.results import lines_of, opened, report_title, write_lines

        with opened(job.manifest, format=job.format, strict=job.strict) as rows, Spool() as outcomes:
            count = self._check(job, rows)
            limit = limit_of(self.max_failures, count)
            if may_defer and self._reachable(job):
                self._defer(job, count)
            ended = asyncio.run(
                batch.run(
                    job,
                    in_shard(rows(None), job.shard),
                    count=count,
                    outcomes=outcomes,
                    adopt_existing=adopt_existing,
                    say=self.log.info,
                    downloads=self.downloads,
                )
            )
            lines = lines_of(in_shard(rows(None), job.shard), lambda row: outcomes.get(row.number))
            title = report_title(job.manifest) + (f", shard {job.shard}" if job.shard else "")
            summary = write_lines(lines, job.results, title=title, say_problems=False)  # the batch has
        context["ti"].xcom_push(key=SUMMARY, value=summary)
        _settle(context, ended, summary, limit)
        return summary

    def _check(self, job: BatchJob, rows: Rows) -> int:
        """How many rows there are. The whole manifest is read before anything is spent, and what is wrong is said."""
        from airflow_provider_kling.batch import in_shard
        from airflow_provider_kling.manifests import BadRow, label

        name, count, bad = label(job.manifest), 0, 0
        for row in in_shard(rows(lambda text: self.log.warning("%s: %s", name, text)), job.shard):
            count += 1
            if isinstance(row, BadRow):
                bad += 1
                if bad <= MOST_SAID:
                    self.log.warning("%s: %s", name, row.text)
        self.log.info("%s: %s rows, %s of them bad.", name, f"{count:,}", f"{bad:,}")
        return count

    def _reachable(self, job: BatchJob) -> bool:
        """Whether the triggerer, perhaps another machine, has the same manifest and results."""
        from airflow_provider_kling.manifests import is_portable

        here = [
            f"{name} {where!r}" for name, where in (("manifest", job.manifest), ("results", job.results)) if not is_portable(where)
        ]
        if here:
            self.log.warning(
                "Not deferred, this worker does it all: %s may not be there for the triggerer. To free the worker, use the "
                "URI of an object store for manifest and results, or folders that [kling] shared_folders names.",
                " and ".join(here),
            )
        return not here

    def _defer(self, job: BatchJob, count: int) -> NoReturn:
        from airflow_provider_kling.client import flows
        from airflow_provider_kling.triggers import DEFER_GRACE, HOLD_BACK, VERSION, KlingBatchTrigger

        now = time.time()
        left = max(0.0, job.deadline - now)
        self.log.info("Creating and waiting in the triggerer, at most %s.", flows.format_seconds(left))
        self.defer(
            trigger=KlingBatchTrigger(count=count, not_before=now + HOLD_BACK, version=VERSION, **dataclasses.asdict(job)),
            method_name="execute_complete",
            timeout=timedelta(seconds=left + DEFER_GRACE),
        )
        raise AssertionError("unreachable")


def _settle(context: Context, ended: BatchOutcome, summary: dict[str, Any], limit: int | None) -> None:
    """Raise what the task fails for, when its results are written; nothing if it may end well."""
    from airflow_provider_kling.errors import KlingError, KlingTimeoutError

    if ended.stopped:
        raise ended.stopped
    if ended.running or ended.not_begun:
        raise KlingTimeoutError(
            f"Not all rows are done at the timeout: {ended.running:,} still run at Kling and will be charged, "
            f"{ended.not_begun:,} were not asked for. Run this again to take the former without paying twice, and to go on."
        )
    if ended.may_pass and _tries_left(context):
        error = KlingError(f"{ended.may_pass:,} rows have errors that may pass; trying again. {summary['results']} has them.")
        error.retryable = True
        raise error
    without = summary["rows"] - summary["succeed"]
    if limit is not None and without > limit:
        raise AirflowFailException(
            f"{without:,} of {summary['rows']:,} rows have no video, which is more than max_failures={limit:,}. "
            f"{summary['results']} says why. To ask again for what may work another time, clear this task."
        )


def _tries_left(context: Context) -> bool:
    ti = context["ti"]
    return bool(ti.try_number <= (ti.max_tries or 0))


def _listed(counts: dict[str, Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"
