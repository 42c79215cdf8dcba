"""Makes the effect videos of a manifest of any size in one Airflow task.

Run conf: `{"manifest": <path or URI>, "output": <folder or URI>}`. The task writes `results.jsonl` (one line per row, in
manifest order), `videos/*.mp4` and `report.html` into `output`. A row that fails does not affect other rows. If more rows
fail than `max_failures` (a number, or a fraction like 0.05), the task fails after it has written the results.
"""

from datetime import timedelta

from airflow.sdk import Asset, Param, dag

from airflow_provider_kling.operators import KlingEffectBatchOperator


@dag(
    schedule=None,
    doc_md=__doc__,
    tags=["kling"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "manifest": Param(type="string", minLength=1, description="Path or URI of a CSV, JSON Lines or JSON file"),
        "output": Param(type="string", minLength=1, description="Folder or URI for videos, results and report"),
        "kling_conn_id": Param("kling_default", type="string", description="Connection to the Kling account"),
        "max_failures": Param(None, type=["null", "number"], minimum=0, description="Rows that may fail. If empty: any number"),
        "max_videos": Param(None, type=["null", "integer"], minimum=0, description="The most videos to make. If empty: any number"),
        "max_units": Param(None, type=["null", "number"], minimum=0, description="The most units to spend. If empty: any number"),
    },
)
def kling_effects_batch():
    KlingEffectBatchOperator(
        task_id="batch",
        manifest="{{ params.manifest }}",
        results="{{ params.output }}",
        max_failures="{{ params.max_failures }}",
        max_videos="{{ params.max_videos }}",
        max_units="{{ params.max_units }}",
        kling_conn_id="{{ params.kling_conn_id }}",
        timeout=timedelta(hours=24),
        deferrable=True,
        outlets=[Asset("kling_videos")],  # whose events name the results, for kling_effects_published
    )


kling_effects_batch()
