"""Makes the effect videos of a manifest of any size, in several Airflow tasks that share its rows.

Run conf: `{"manifest": <path or URI>, "output": <folder or URI>, "shards": 4}`. The run writes `videos/*.mp4`,
`results.jsonl` and `report.html` into `output`. Each shard also has its own `results.jsonl` and `report.html`, in a folder
such as `shard-1-of-4`. If you repeat the same DAG run with another number of shards, each row still finds its video,
because its external id does not depend on the shard.
"""

from datetime import timedelta

from airflow.sdk import Param, dag, task

from airflow_provider_kling.by_date import join_shards
from airflow_provider_kling.operators import KlingEffectBatchOperator


@dag(
    schedule=None,
    doc_md=__doc__,
    tags=["kling"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "manifest": Param("manifest.csv", type="string", description="Path or URI of a CSV, JSON Lines or JSON file"),
        "output": Param("output", type="string", description="Folder or URI for videos, results and reports"),
        "kling_conn_id": Param("kling_default", type="string", description="Connection to the Kling account"),
        "shards": Param(4, type="integer", minimum=1, description="Number of Airflow tasks that share the rows"),
    },
)
def kling_effects_sharded():
    @task
    def shards(count: str, output: str) -> list[dict]:
        return [
            {"shard": f"{number}/{count}", "results": f"{output}/shard-{number}-of-{count}"} for number in range(1, int(count) + 1)
        ]

    @task(trigger_rule="all_done", multiple_outputs=False)
    def collect(shards: list[dict], output: str) -> dict:
        return join_shards([shard["results"] for shard in shards], output, title="Kling effects: all shards")

    shared = shards("{{ params.shards }}", "{{ params.output }}")
    batch = KlingEffectBatchOperator.partial(
        task_id="batch",
        map_index_template="{{ task.shard }}",
        manifest="{{ params.manifest }}",
        save_to="{{ params.output }}/videos",
        kling_conn_id="{{ params.kling_conn_id }}",
        deferrable=True,
    ).expand_kwargs(shared)
    batch >> collect(shared, "{{ params.output }}")


kling_effects_sharded()
