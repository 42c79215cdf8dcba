"""The package's operator, mapped over a manifest: it creates, waits in the triggerer, and saves the video."""

from datetime import timedelta

from airflow.sdk import dag, get_current_context, task

from airflow_provider_kling.fanout import outcomes_of, read_manifest, write_results
from airflow_provider_kling.operators import KlingEffectOperator


@dag(schedule=None, params={"manifest": "", "output": "", "kling_conn_id": "kling_default"}, max_active_tasks=1000)
def one_operator_a_row():
    @task
    def read(manifest: str) -> list[dict]:
        return read_manifest(manifest)

    @task(trigger_rule="all_done", multiple_outputs=False)
    def collect(manifest: str, output: str) -> dict:
        return write_results(manifest, output, outcomes_of(get_current_context()["ti"], "video"))

    video = KlingEffectOperator.partial(
        task_id="video",
        kling_conn_id="{{ params.kling_conn_id }}",
        wait_for_completion=True,
        save_to="{{ params.output }}/videos",
        deferrable=True,
        retries=2,
        retry_delay=timedelta(seconds=10),
    ).expand_kwargs(read("{{ params.manifest }}"))
    video >> collect("{{ params.manifest }}", "{{ params.output }}")


one_operator_a_row()
