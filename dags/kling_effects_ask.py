"""Asks for the effect videos of a manifest and does not wait: `kling_effects_on_callback` saves each video when its task ends.

Run conf: `{"manifest": <path or URI>, "output": <folder or URI>}`. Where `[kling] callback_base_url` is set, Kling says when a
task ends; without it, the sweep of the other DAG finds out. Both DAGs need the same folder, from the Airflow Variable
`kling_ended` or the param `folder`. `output` gets `results.jsonl` and `report.html`, which grow as tasks end.
"""

from datetime import timedelta

from airflow.configuration import conf
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import Asset, Param, dag, get_current_context, task

from airflow_provider_kling.ended_rows import remember_rows
from airflow_provider_kling.mapping import outcomes_of, read_manifest
from airflow_provider_kling.operators import KlingEffectOperator

CONN_ID = "kling_default"
CALLBACK_URL = "auto" if conf.get("kling", "callback_base_url", fallback="") else None
FOLDER = "{{ params.folder or var.value.get('kling_ended', '') }}"


@dag(
    schedule=None,
    doc_md=__doc__,
    tags=["kling"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "manifest": Param(type="string", minLength=1, description="Path or URI of a CSV, JSON Lines or JSON file"),
        "output": Param(type="string", minLength=1, description="Folder or URI for results and report"),
        "folder": Param(None, type=["null", "string"], description="Folder or URI of both DAGs. If empty: Variable kling_ended"),
        "max_videos": Param(None, type=["null", "integer"], minimum=0, description="The most videos to make. If empty: any number"),
        "max_units": Param(None, type=["null", "number"], minimum=0, description="The most units to spend. If empty: any number"),
    },
)
def kling_effects_ask():
    @task
    def read(manifest: str, folder: str) -> list[dict]:
        if not folder:
            raise AirflowFailException("There is no folder: set the Airflow Variable kling_ended or the param folder.")
        return read_manifest(manifest, on_bad_rows="skip")

    create = KlingEffectOperator.partial(
        task_id="create",
        map_index_template="{{ task.row_id }}",
        callback_url=CALLBACK_URL,
        max_videos="{{ params.max_videos }}",
        max_units="{{ params.max_units }}",
        kling_conn_id=CONN_ID,
        deferrable=True,
    )

    # Its event makes the other DAG join what has ended while this one was still asking.
    @task(trigger_rule="all_done", outlets=[Asset("kling_asked")])
    def remember(manifest: str, output: str, folder: str) -> None:
        context = get_current_context()
        name = f"{context['dag'].dag_id}.{context['run_id']}"
        remember_rows(manifest, output, outcomes_of(context["ti"], "create"), folder, name=name)

    rows = read("{{ params.manifest }}", FOLDER)
    create.expand(row=rows) >> remember("{{ params.manifest }}", "{{ params.output }}", FOLDER)


kling_effects_ask()
