"""Makes the effect videos of a manifest of any size, in several Airflow tasks that share its rows.

Run conf: `{"manifest": <path or URI>, "output": <folder or URI>, "shards": 4}`. The run writes `videos/*.mp4`,
`results.jsonl` and `report.html` into `output`. Each shard also has its own `results.jsonl` and `report.html`, in a folder
such as `shard-1-of-4`. If you repeat the same DAG run with another number of shards, each row still finds its video,
because its external id does not depend on the shard.
"""

from datetime import timedelta

from airflow.sdk import Param, dag, task

from airflow_provider_kling.by_date import join_shards
from airflow_provider_kling.links import with_report_links
from airflow_provider_kling.operators import KlingEffectBatchOperator


@dag(
    schedule=None,
    doc_md=__doc__,
    tags=["kling"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "manifest": Param(type="string", minLength=1, description="Path or URI of a CSV, JSON Lines or JSON file"),
        "output": Param(type="string", minLength=1, description="Folder or URI for videos, results and reports"),
        "kling_conn_id": Param("kling_default", type="string", description="Connection to the Kling account"),
        "shards": Param(4, type="integer", minimum=1, description="Number of Airflow tasks that share the rows"),
        "max_videos": Param(None, type=["null", "integer"], minimum=0, description="The most videos to make. If empty: any number"),
        "max_units": Param(None, type=["null", "number"], minimum=0, description="The most units to spend. If empty: any number"),
    },
)
def kling_effects_sharded():
    @task
    def shards(count: str) -> list[str]:
        return [f"{number}/{count}" for number in range(1, int(count) + 1)]

    @task(trigger_rule="all_done", multiple_outputs=False)
    def collect(shards: list[str], manifest: str, output: str) -> dict:
        folders = [f"{output}/shard-{shard.replace('/', '-of-')}" for shard in shards]
        return join_shards(folders, output, title="All shards", manifest=manifest)

    shared = shards("{{ params.shards }}")
    batch = KlingEffectBatchOperator.partial(
        task_id="batch",
        map_index_template="{{ task.shard }}",
        manifest="{{ params.manifest }}",
        results="{{ params.output }}/shard-{{ task.shard | replace('/', '-of-') }}",
        save_to="{{ params.output }}/videos",
        max_videos="{{ params.max_videos }}",
        max_units="{{ params.max_units }}",
        kling_conn_id="{{ params.kling_conn_id }}",
        deferrable=True,
    ).expand(shard=shared)
    batch >> with_report_links(collect(shared, "{{ params.manifest }}", "{{ params.output }}"))


kling_effects_sharded()
