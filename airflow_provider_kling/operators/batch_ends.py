"""How the Airflow task of a batch ends, once its results are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_kling.redaction import show_place
from airflow_provider_kling.row_metrics import is_last_try

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.batch import BatchJob, BatchOutcome, Spool
    from airflow_provider_kling.manifests import ManifestFile


def write_results(job: BatchJob, manifest: ManifestFile, outcomes: Spool) -> dict[str, Any]:
    """Write results and report, and return the summary."""
    from airflow_provider_kling.batch import in_shard, remove_snapshot
    from airflow_provider_kling.results import lines_of, report_title, write_lines

    lines = lines_of(in_shard(manifest.rows(), job.shard), lambda row: outcomes.get(row.id))
    title = report_title(job.manifest) + (f", shard {job.shard}" if job.shard else "")
    # The batch has logged what is wrong with rows.
    summary = write_lines(lines, job.results, title=title, manifest=job.manifest, log_problems=False)
    remove_snapshot(job)
    return summary


def raise_if_failed(
    context: Context,
    outcome: BatchOutcome,
    summary: dict[str, Any],
    limit: int | None,
    max_failures: Any,
    *,
    fail_if_capped: bool = False,
) -> None:
    """Raise the error that the task fails with, if it fails; its results are written.

    Airflow retries after an error that may pass. Too many rows without a video fail the task for good.
    """
    from airflow_provider_kling.batch import describe_limit
    from airflow_provider_kling.errors import KlingError, KlingTimeoutError
    from airflow_provider_kling.results import CAPPED, describe_counts

    if outcome.stopped_by:
        raise outcome.stopped_by
    if outcome.running or outcome.not_created:
        raise KlingTimeoutError(
            f"Not all rows are done at the timeout: {outcome.running:,} still run at Kling and will be charged, "
            f"{outcome.not_created:,} have no task that is known. Run this again to go on, without paying twice."
        )
    if outcome.retryable and not is_last_try(context):
        error = KlingError(
            f"{outcome.retryable:,} rows have errors that may pass; trying again. {show_place(summary['results'])} has them."
        )
        error.retryable = True
        raise error
    if fail_if_capped and summary[CAPPED]:
        raise AirflowFailException(
            f"{summary[CAPPED]:,} of {summary['rows']:,} rows are beyond a cap, and have no video. "
            f"{show_place(summary['results'])} says which; run this again with a higher cap to make them."
        )
    without = summary["rows"] - summary["succeed"] - summary[CAPPED]
    if limit is not None and without > limit:
        raise AirflowFailException(
            f"{without:,} of {summary['rows']:,} rows have no video ({describe_counts(_problems(summary))}), "
            f"which is more than {describe_limit(max_failures, limit, summary['rows'])}. "
            f"{show_place(summary['results'])} says why. To ask again for what may work another time, clear this task."
        )


def _problems(summary: dict[str, Any]) -> dict[str, int]:
    """The rows without a video that count as failures, by their status."""
    from airflow_provider_kling.results import CAPPED, STATUSES

    return {status: summary[status] for status in STATUSES if status not in ("succeed", CAPPED)}
