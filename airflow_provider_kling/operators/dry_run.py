"""A batch that makes nothing: it returns the plan of the run that the same arguments would start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kling.caps import RunCap
from airflow_provider_kling.instances import earlier_attempt
from airflow_provider_kling.operators.capping import left_of
from airflow_provider_kling.operators.manifest_check import check_manifest

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.batch import BatchJob


def dry_run(operator: Any, context: Context, job: BatchJob) -> dict[str, Any]:
    """Log and return the plan of this batch. Nothing is created or written, and no event of an outlet is sent.

    Raises what the batch would raise before its first create: for the manifest, names of files, caps and connections.
    """
    from airflow_provider_kling.manifests import ManifestFile
    from airflow_provider_kling.planning import PlanJob, describe_plan, make_plan

    cap = left_of(RunCap.of(operator.max_videos, operator.max_units), context, job.kling_conn_id, log=operator.log)
    with ManifestFile(job.manifest, format=job.format, strict=job.strict) as manifest:
        check_manifest(job, manifest, cap=cap, log=operator.log)
    operator.outlets = []  # whoever waits for the videos would find none
    plan = make_plan(
        PlanJob(
            manifest=job.manifest,
            results=job.results,
            kling_conn_id=job.kling_conn_id,
            identity=(job.dag_id, job.run_id, job.task_id),
            iteration=job.iteration,
            tries=job.tries if earlier_attempt(context) else 1,
            format=job.format,
            strict=job.strict,
            shard=job.shard,
            fresh=job.fresh,
            max_concurrency=job.max_concurrency,
            cap=cap,
        ),
        log=operator.log.info,
    )
    for line in ("Dry run: nothing is made, nothing is spent.", *describe_plan(plan)):
        operator.log.info("%s", line)
    return plan
