"""A manifest of any size becomes effect videos, in one Airflow task.

Run conf: `{"manifest": <path or URI>, "output": <folder or URI>}`. In `output` it leaves `results.jsonl` (one line for
each row of the manifest, in its order), `videos/*.mp4` and `report.html`. A row that fails fails alone; more of them
than `max_failures` (a number, or a fraction like 0.05) fail the task, after the results are written.
"""

from datetime import timedelta

from airflow.sdk import Param, dag

from airflow_provider_kling.operators import KlingEffectBatchOperator


@dag(
    schedule=None,
    doc_md=__doc__,
    tags=["kling"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "manifest": Param("manifest.csv", type="string", description="CSV, JSON Lines or JSON: a path or URI"),
        "output": Param("output", type="string", description="Folder or URI for videos, results and report"),
        "kling_conn_id": Param("kling_default", type="string", description="The connection of the Kling account"),
        "max_failures": Param(None, type=["null", "number"], minimum=0, description="Rows that may fail; empty: any number"),
    },
)
def kling_effects_batch():
    KlingEffectBatchOperator(
        task_id="batch",
        manifest="{{ params.manifest }}",
        results="{{ params.output }}",
        max_failures="{{ params.max_failures }}",
        kling_conn_id="{{ params.kling_conn_id }}",
        timeout=timedelta(hours=24),
        deferrable=True,
    )


kling_effects_batch()
