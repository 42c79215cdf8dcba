"""KlingEffectBatchOperator: a manifest of any size in one Airflow task."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.providers.common.compat.sdk import conf

from airflow_provider_kling.arguments import conn_ids
from airflow_provider_kling.asset_events import add_summary
from airflow_provider_kling.caps import RunCap
from airflow_provider_kling.client import seconds
from airflow_provider_kling.instances import iteration_of, may_have_created
from airflow_provider_kling.lineage import BatchLineage
from airflow_provider_kling.links import KlingReportLink, KlingResultsLink
from airflow_provider_kling.naming import run_fields
from airflow_provider_kling.operator_base import DEFAULT_TIMEOUT, KlingOperator
from airflow_provider_kling.operators.batch_ends import raise_if_failed, write_results
from airflow_provider_kling.operators.capping import left_of
from airflow_provider_kling.operators.checks import check_batch, is_dry
from airflow_provider_kling.operators.dry_run import dry_run
from airflow_provider_kling.operators.manifest_check import check_manifest, warn_if_short
from airflow_provider_kling.outcomes import recording_failures, task_of
from airflow_provider_kling.redaction import show_place
from airflow_provider_kling.retry_policy import use_default_policy
from airflow_provider_kling.row_metrics import is_last_try

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.arguments import Later, Place
    from airflow_provider_kling.batch import BatchJob, BatchOutcome, Spool
    from airflow_provider_kling.manifests import ManifestFile

SUMMARY = "summary"  # XCom: the summary of the results, also where the task fails
VIDEOS = "{results}/videos"
SAVE_TIMEOUT = 3600.0  # seconds for the videos of one task, after the triggerer has used up the time


class KlingEffectBatchOperator(BatchLineage, KlingOperator):
    """Makes the videos of a whole manifest, and writes `results.jsonl` and `report.html`. Returns a small summary.

    A row that fails does not fail the others: `max_failures` decides how many of them fail the task. After a retry, a clear
    or a kill, the tasks that exist are looked up and adopted, so nothing is paid twice.

    :param manifest: path or URI of the manifest. Templated.
    :param results: folder or URI for results and report. Templated.
    :param save_to: folder or URI for the videos; `{results}` stands for `results`. None saves none. Templated.
    :param file_name: how videos are named, like `{date}/{row_id}-{effect_scene}-{kling_task_id}.mp4`; see the docs.
    :param watermark: save the version with a watermark, too.
    :param sidecar: save the result as JSON beside each video.
    :param max_concurrency: the most tasks of this manifest at Kling at once. Default: as many as the account has slots.
    :param max_failures: so many rows without a video, or such a part of them (`0.05`, `"5%"`), leave the task green; more
        fail it, after the results are written. Default: any number. Templated.
    :param max_videos: the most videos of the whole manifest in a DAG run, those of its first good rows. Templated.
    :param max_units: the most that they may cost, as the price book knows it. Templated.
    :param fail_if_capped: fail the task, after the results are written, if rows are beyond these caps or the connection's.
    :param kling_conn_id: the connection of the account, or a list of them (as text: with commas) whose accounts share the
        rows. Templated.
    :param format: `csv`, `jsonl` or `json`, where the manifest's suffix does not tell.
    :param strict: makes a row bad, instead of only warning, if its scene is unknown or discontinued.
    :param fresh: any text; another text makes another video of each row. Templated.
    :param poll_interval: the most seconds between two polls of a task.
    :param timeout: seconds, or a timedelta, for all rows of one try. Default 24 hours.
    :param downloads: the number of tasks whose videos are saved at once.
    :param shard: only a part of the rows, `"3/10"` or `(3, 10)`: those whose number n has n % 10 == 3. Templated.
    :param dry_run: make nothing, and return the plan: what a run would make and cost; see the docs. Templated.
    :param deferrable: create and wait in the triggerer, if it can read the manifest; a worker saves the videos.
        Default: Airflow's `[operators] default_deferrable`.

    The summary is that of `mapping.write_results`. Raises AirflowFailException, without a retry, for credentials, an account or a
    connection that cannot work, and beyond `max_failures`; KlingTimeoutError, and the errors of rows that may pass, with retries.
    """

    __supports_durable_execution: ClassVar[bool] = True  # as Airflow's registry reads it, from this very name

    template_fields: Sequence[str] = (
        "manifest",
        "results",
        "save_to",
        "max_failures",
        "kling_conn_id",
        "fresh",
        "shard",
        "max_videos",
        "max_units",
        "dry_run",
    )
    place_fields = ("manifest", "results", "save_to")
    ui_color = "#0b3d2e"
    ui_fgcolor = "#ffffff"
    operator_extra_links = (KlingReportLink(), KlingResultsLink())

    def __init__(
        self,
        *,
        manifest: Place | Later,
        results: Place | Later,
        save_to: Place | Later | None = VIDEOS,
        file_name: str | None = None,
        watermark: bool = False,
        sidecar: bool = False,
        max_concurrency: int | None = None,
        max_failures: int | float | str | Later | None = None,
        max_videos: int | str | Later | None = None,
        max_units: float | str | Later | None = None,
        fail_if_capped: bool = False,
        kling_conn_id: str | Sequence[str] | Later = "kling_default",
        format: str | None = None,
        strict: bool = False,
        fresh: str | Later | None = None,
        poll_interval: float | timedelta = 10.0,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        downloads: int = 8,
        shard: str | tuple[int, int] | Later | None = None,
        dry_run: bool | str | Later = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        use_default_policy(self)
        self.manifest: Any = manifest
        self.results: Any = results
        self.save_to: Any = save_to
        self.file_name, self.watermark, self.sidecar = file_name, watermark, sidecar
        self.max_concurrency = max_concurrency
        self.max_failures = max_failures
        self.max_videos, self.max_units, self.fail_if_capped = max_videos, max_units, fail_if_capped
        self.kling_conn_id: Any = kling_conn_id
        self.format = format
        self.strict = strict
        self.fresh: Any = fresh
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.downloads = downloads
        self.shard = shard
        self.dry_run: Any = dry_run
        self.deferrable = deferrable
        self.take_places()
        self._unknown = self.unknown_fields()
        if not self.is_unmapped:
            check_batch(vars(self))

    def execute(self, context: Context) -> Any:
        return self.start(context)

    def start(self, context: Context) -> Any:
        """What `execute` does, also for the task of another operator: Airflow lets nobody else call that one."""
        with recording_failures(context, row_id=None):
            job = self._job(context, deadline=time.time() + seconds(self.timeout, "timeout"))
            if is_dry(self.dry_run):
                return dry_run(self, context, job)
            return self._run(context, job, adopt_existing=may_have_created(context), may_defer=self.deferrable)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Called when the trigger has fired: adopts the tasks that it created, saves their videos, and writes the results."""
        from airflow_provider_kling.errors import KlingAnswerError
        from airflow_provider_kling.results import describe_counts

        with recording_failures(context, row_id=None):
            match event:
                case {"batch": dict(counts), "deadline": int() | float() as deadline}:
                    self.log.info("The triggerer has finished with all rows: %s. Saving the videos.", describe_counts(counts))
                case _:
                    task_of(event)  # raises the error in the event, or KlingAnswerError for an unknown one
                    raise KlingAnswerError("The trigger ended with the event of another operator.")
            job = self._job(context, deadline=float(deadline))
            return self._run(context, job, adopt_existing=True, may_defer=False, save_timeout=SAVE_TIMEOUT)

    def on_kill(self) -> None:
        self.log.info(
            "Stopped. Kling has no cancel: tasks that were created go on there and will be charged. "
            "Run this task again to adopt them without paying twice."
        )

    # --- Before anything is created

    def _job(self, context: Context, *, deadline: float) -> BatchJob:
        """What the batch does, from the rendered parameters. Raises KlingInputError for those that cannot work."""
        from airflow_provider_kling.batch import BatchJob, shard_of

        self.take_places()
        self.show_links(False)
        check_batch(vars(self), rendered=self._unknown)
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
            file_name=self.file_name,
            watermark=self.watermark,
            sidecar=self.sidecar,
            date=run_fields(context)["date"],
            iteration=iteration_of(context),
        )

    # --- Here or in the triggerer

    def _run(
        self, context: Context, job: BatchJob, *, adopt_existing: bool, may_defer: bool, save_timeout: float = 0.0
    ) -> dict[str, Any]:
        """Defer, or work on all rows and write their results. Returns the summary."""
        from airflow_provider_kling.batch import Spool, limit_of, place_of
        from airflow_provider_kling.manifests import ManifestFile
        from airflow_provider_kling.results import BATCH

        with ManifestFile(job.manifest, format=job.format, strict=job.strict) as manifest, Spool() as outcomes:
            cap = left_of(RunCap.of(self.max_videos, self.max_units), context, job.kling_conn_id, log=self.log)
            count, allowance = check_manifest(job, manifest, cap=cap, log=self.log)
            job = dataclasses.replace(job, cap=allowance.to_json() if allowance else None)
            if not save_timeout:  # not for what the triggerer has made already
                _check_places(job)
                if not adopt_existing:
                    warn_if_short(job, manifest, log=self.log)
            limit = limit_of(self.max_failures, count)
            context["ti"].xcom_push(key=BATCH, value=place_of(job, rows=count))
            if may_defer and self._triggerer_can_read(job):
                self._defer(job, count)
            options = {"count": count, "adopt_existing": adopt_existing, "last_try": is_last_try(context)}
            outcome = self._work(job, manifest, outcomes, save_timeout=save_timeout, **options)
            self.summary = summary = write_results(job, manifest, outcomes)
        self.show_links(True)
        context["ti"].xcom_push(key=SUMMARY, value=summary)
        raise_if_failed(context, outcome, summary, limit, self.max_failures, fail_if_capped=self.fail_if_capped)
        add_summary(context, summary)
        return summary

    def _work(self, job: BatchJob, manifest: ManifestFile, outcomes: Spool, **options: Any) -> BatchOutcome:
        """Work on all rows in this process; what becomes of each goes into `outcomes`."""
        from airflow_provider_kling import batch

        return asyncio.run(
            batch.run(
                job,
                batch.in_shard(manifest.rows(), job.shard),
                outcomes=outcomes,
                log=self.log.info,
                downloads=self.downloads,
                **options,
            )
        )

    def _triggerer_can_read(self, job: BatchJob) -> bool:
        """Whether the triggerer, perhaps another machine, has the same manifest and results. Logs it if not."""
        from airflow_provider_kling.manifests import is_portable

        locations = {"manifest": job.manifest, "results": job.results}
        local = [f"{name} {show_place(location)!r}" for name, location in locations.items() if not is_portable(location)]
        if local:
            self.log.warning(
                "Not deferred, this worker does it all: %s may not be there for the triggerer. To free the worker, use the "
                "URI of an object store for manifest and results, or folders that [kling] shared_folders names.",
                " and ".join(local),
            )
        return not local

    def _defer(self, job: BatchJob, count: int) -> NoReturn:
        from airflow_provider_kling.triggers import HOLD_BACK, VERSION, KlingBatchTrigger, bounded, check_connections, defer_with

        check_connections(job.kling_conn_id)
        deadline, limit = bounded(self, job.deadline)
        self.log.info("Creating and waiting in the triggerer, at most %s.", limit)
        row = {**dataclasses.asdict(job), "deadline": deadline}
        trigger = KlingBatchTrigger(count=count, not_before=time.time() + HOLD_BACK, version=VERSION, **row)
        defer_with(self, trigger, deadline=deadline)


def _check_places(job: BatchJob) -> None:
    """Raise KlingStorageError if results or videos cannot be written."""
    from airflow_provider_kling.writable import check_writable

    check_writable(job.results, "results")
    if job.save_to:
        check_writable(job.save_to, "save_to")
