"""Makes the effect videos of a manifest, with one mapped task group per row.

Run conf: `{"manifest": <path or URI>, "output": <folder or URI>}`. The run writes `results.jsonl` (one line per row, in
manifest order), `videos/*.mp4` and `report.html` into `output`. A row that fails does not affect other rows.
For more rows than Airflow maps ([core] max_map_length, 1024 by default), use KlingEffectBatchOperator.
"""

from datetime import timedelta

from airflow.sdk import Param, dag, get_current_context, task, task_group

from airflow_provider_kling.links import with_report_links
from airflow_provider_kling.mapping import outcomes_of, read_manifest, write_results
from airflow_provider_kling.operators import KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor


@dag(
    schedule=None,
    doc_md=__doc__,
    tags=["kling"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "manifest": Param(type="string", minLength=1, description="Path or URI of a CSV, JSON Lines or JSON file"),
        "output": Param(type="string", minLength=1, description="Folder or URI for videos, results and report"),
        "kling_conn_id": Param("kling_default", type="string", description="Connection to the Kling account"),
        "max_videos": Param(None, type=["null", "integer"], minimum=0, description="The most videos to make. If empty: any number"),
        "max_units": Param(None, type=["null", "number"], minimum=0, description="The most units to spend. If empty: any number"),
    },
)
def kling_effects_mapped():
    @task
    def read(manifest: str) -> list[dict]:
        return read_manifest(manifest, on_bad_rows="skip")

    @task_group
    def video(row):
        create = KlingEffectOperator(
            task_id="create",
            map_index_template="{{ task.row_id }}",
            row=row,
            max_videos="{{ params.max_videos }}",
            max_units="{{ params.max_units }}",
            kling_conn_id="{{ params.kling_conn_id }}",
            deferrable=True,
        )
        KlingTaskSensor(
            task_id="wait",
            map_index_template="{{ task.row_id }}",
            row=row,
            kling_task_id=create.output,
            save_to="{{ params.output }}/videos",
            kling_conn_id="{{ params.kling_conn_id }}",
            timeout=timedelta(hours=6),
            deferrable=True,
        )

    @task(trigger_rule="all_done", multiple_outputs=False)
    def collect(manifest: str, output: str) -> dict:
        return write_results(manifest, output, outcomes_of(get_current_context()["ti"], "video.create", "video.wait"))

    rows = read("{{ params.manifest }}")
    video.expand(row=rows) >> with_report_links(collect("{{ params.manifest }}", "{{ params.output }}"))


kling_effects_mapped()
