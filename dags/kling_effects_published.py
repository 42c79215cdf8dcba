"""Publishes what `kling_effects_batch` makes: whenever a run of it has ended, its videos are copied into one folder.

It is scheduled on the asset `kling_videos`, whose events name the results. The folder comes from the Airflow Variable
`kling_published` or from the param `folder`; without either, the run fails. Files keep their names. A video that is there
already is not copied again, and no file is overwritten or removed. To publish older results by hand:

    airflow dags trigger kling_effects_published --conf '{"results": "out/results.jsonl", "folder": "published"}'
"""

from datetime import timedelta

from airflow.sdk import Asset, Param, dag, get_current_context, task

from airflow_provider_kling.publishing import check_folder, lines_of_events, publish, read_lines

FOLDER = "{{ params.folder or var.value.get('kling_published', '') }}"


@dag(
    schedule=Asset("kling_videos"),
    max_active_runs=1,
    doc_md=__doc__,
    tags=["kling"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "folder": Param(None, type=["null", "string"], description="Folder or URI. If empty: Variable kling_published"),
        "results": Param(None, type=["null", "string"], description="Path or URI of a results.jsonl, for a run by hand"),
    },
)
def kling_effects_published():
    @task(task_id="publish", multiple_outputs=False)
    def publish_videos(folder: str, results: str) -> dict:
        folder = check_folder(folder, named="the Airflow Variable kling_published or the param folder")
        events = get_current_context()["triggering_asset_events"]
        return publish(read_lines(results) if results else lines_of_events(events), folder)

    publish_videos(FOLDER, "{{ params.results or '' }}")


kling_effects_published()
