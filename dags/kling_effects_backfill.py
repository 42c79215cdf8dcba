"""Makes the effect videos of one manifest per date: every night, in catch-up, and in backfills.

The manifest of a date is `<manifests>/<date>.csv` (or `.jsonl`, `.ndjson`, `.json`) or `<manifests>/<date>/manifest.csv`.
A date without a manifest is skipped; a folder that does not exist fails the run.
The run writes `results.jsonl`, `report.html` and `videos/` into `<output>/<date>/`. It also updates `results.jsonl` and
`report.html` in `<output>`, which cover all dates.

    airflow backfill create --dag-id kling_effects_backfill --from-date 2026-11-01 --to-date 2026-11-30
    airflow backfill create … --reprocess-behavior failed      # repeats what failed, and nothing else

You can repeat or clear runs: no video is paid for twice. If more rows than `max_failures` have no video, the run fails
after it has written its results. The folders come from the Airflow Variables `kling_manifests` and `kling_results`, or
from the params; without either, the run fails.

The date is that of the run in the DAG's time zone, which is Airflow's `default_timezone`: `airflow backfill create` and
`airflow dags test` read the dates you give them in the same zone.
"""

import logging
from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Param, dag, get_current_context, task

from airflow_provider_kling.by_date import collect_results, date_of, manifest_of
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.operators import KlingEffectBatchOperator
from airflow_provider_kling.redaction import show_place

MANIFESTS = "{{ params.manifests or var.value.get('kling_manifests', '') }}"
OUTPUT = "{{ params.output or var.value.get('kling_results', '') }}"


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - without a zone, the DAG's time zone is Airflow's default_timezone
    catchup=False,
    max_active_runs=4,
    doc_md=__doc__,
    tags=["kling"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "manifests": Param(None, type=["null", "string"], description="Folder or URI. If empty: Variable kling_manifests"),
        "output": Param(None, type=["null", "string"], description="Folder or URI. If empty: Variable kling_results"),
        "date": Param(None, type=["null", "string"], description="Date to use instead of the run's date, like 2026-11-22"),
        "kling_conn_id": Param("kling_default", type="string", description="Connection id, or several ids separated by commas"),
        "max_failures": Param(0, type=["null", "number"], minimum=0, description="Rows that may fail. If empty: any number"),
        "max_videos": Param(None, type=["null", "integer"], minimum=0, description="The most videos to make. If empty: any number"),
        "max_units": Param(None, type=["null", "number"], minimum=0, description="The most units to spend. If empty: any number"),
    },
)
def kling_effects_backfill():
    @task(multiple_outputs=True)
    def find(manifests: str, output: str, date: str) -> dict:
        for folder, variable, param in ((manifests, "kling_manifests", "manifests"), (output, "kling_results", "output")):
            if not folder:
                raise AirflowFailException(f"There is no folder: set the Airflow Variable {variable} or the param {param}.")
        date = date or date_of(get_current_context()) or ""
        if not date:
            raise AirflowFailException("This run has no date: trigger it with a logical date or the param date, or by a backfill.")
        try:
            manifest = manifest_of(manifests, date)
        except KlingInputError as error:
            raise AirflowFailException(str(error)) from error
        if manifest is None:
            reason = f"No manifest for {date} in {show_place(manifests)}: this date is skipped."
            logging.getLogger("airflow.task").warning(reason)  # Airflow itself hides the reason in a closed group of its log
            raise AirflowSkipException(reason)
        return {"manifest": manifest, "results": f"{output.rstrip('/')}/{date}"}

    @task(trigger_rule="none_skipped", max_active_tis_per_dag=1, multiple_outputs=False)
    def collect(output: str) -> dict:
        return collect_results(output)

    found = find(MANIFESTS, OUTPUT, "{{ params.date or '' }}")
    batch = KlingEffectBatchOperator(
        task_id="batch",
        manifest=found["manifest"],
        results=found["results"],
        max_failures="{{ params.max_failures }}",
        max_videos="{{ params.max_videos }}",
        max_units="{{ params.max_units }}",
        kling_conn_id="{{ params.kling_conn_id }}",
        timeout=timedelta(hours=24),
        deferrable=True,
    )
    # Airflow takes the state of a run from its last tasks. Without this task, a run whose batch failed would be successful.
    done = EmptyOperator(task_id="done")
    batch >> collect(OUTPUT) >> done
    batch >> done


kling_effects_backfill()
