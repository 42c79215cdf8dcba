"""Saves the video of each task that ends, and joins it to the row that asked for it: nobody waits meanwhile.

It is scheduled on the asset of a connection. Its events come from callbacks, which Airflow's API server receives, and from a sweep
of the account's list, which finds what no callback has told. Tasks of other programs in the same account are saved, too. The
folder comes from the Airflow Variable `kling_ended` or the param `folder`: `videos` lies in it, and what both DAGs know of rows
and tasks. `results.jsonl` and `report.html` of a manifest go where `kling_effects_ask` was told to.
"""

from datetime import timedelta

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import Asset, AssetWatcher, Param, dag, get_current_context, task

from airflow_provider_kling.callbacks import asset_uri
from airflow_provider_kling.ended_rows import ends_since, join_ended, save_ended
from airflow_provider_kling.triggers import KlingFinishedTasksTrigger

CONN_ID = "kling_default"
FOLDER = "{{ params.folder or var.value.get('kling_ended', '') }}"
SWEEP = AssetWatcher(name=f"kling_sweep_{CONN_ID}", trigger=KlingFinishedTasksTrigger(kling_conn_id=CONN_ID))
ENDED = Asset(asset_uri(CONN_ID), watchers=[SWEEP])  # a DAG that names it without its watcher would remove the watcher


@dag(
    schedule=ENDED | Asset("kling_asked"),  # the latter: kling_effects_ask has asked for all rows of a manifest
    max_active_runs=1,
    doc_md=__doc__,
    tags=["kling"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "folder": Param(None, type=["null", "string"], description="Folder or URI of both DAGs. If empty: Variable kling_ended"),
    },
)
def kling_effects_on_callback():
    @task(inlets=[ENDED], multiple_outputs=False)
    def save(folder: str) -> dict:
        if not folder:
            raise AirflowFailException("There is no folder: set the Airflow Variable kling_ended or the param folder.")
        return save_ended(ends_since(get_current_context(), ENDED), folder)

    @task(trigger_rule="all_done")
    def join(folder: str) -> list[dict]:
        return join_ended(folder)

    save(FOLDER) >> join(FOLDER)


kling_effects_on_callback()
