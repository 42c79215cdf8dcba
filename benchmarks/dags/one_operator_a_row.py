"""The package's operator, mapped over a manifest: it creates the task, waits in the triggerer, and saves the video there.

In the second DAG a worker saves it.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, get_current_context, task

from airflow_provider_kling.mapping import outcomes_of, read_manifest, write_results
from airflow_provider_kling.operators import KlingEffectOperator

PARAMS = {"manifest": "", "output": "", "kling_conn_id": "kling_default"}


def one_operator_a_row(dag_id: str, **arguments: Any) -> None:
    @dag(dag_id=dag_id, schedule=None, params=PARAMS, max_active_tasks=1000)
    def videos():
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
            **arguments,
        ).expand(row=read("{{ params.manifest }}"))
        video >> collect("{{ params.manifest }}", "{{ params.output }}")

    videos()


one_operator_a_row("one_operator_a_row")
one_operator_a_row("one_operator_a_row_ended_by_workers", end_from_trigger=False)
