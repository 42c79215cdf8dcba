"""The manifest of each day becomes effect videos: every night, in catch-up, and in backfills.

Looks for `<manifests>/<date>.csv` (or `.jsonl`, `.json`; or `<date>/manifest.csv`). A day without one is skipped. Leaves
`<output>/<date>/` with `results.jsonl`, `report.html` and `videos/`, and in `<output>` the same two files over all days.

    airflow backfill create --dag-id kling_effects_backfill --from-date 2026-11-01 --to-date 2026-11-30
    airflow backfill create … --reprocess-behavior failed      # asks again for what failed, and for nothing else

Whatever is repeated or cleared pays for no video twice. A day with more rows without a video than `max_failures` is
failed, after its results are written. Where the folders are: the Airflow Variables `kling_manifests` and `kling_results`,
or the params.
"""

from datetime import datetime, timedelta, timezone

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Param, dag, task

from airflow_provider_kling.by_date import collect_results, manifest_of
from airflow_provider_kling.errors import KlingError
from airflow_provider_kling.operators import KlingEffectBatchOperator

MANIFESTS = "{{ params.manifests or var.value.get('kling_manifests', 'manifests') }}"
OUTPUT = "{{ params.output or var.value.get('kling_results', 'results') }}"
DATE = "{{ params.date or (dag_run.logical_date.strftime('%Y-%m-%d') if dag_run.logical_date else '') }}"


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=4,
    doc_md=__doc__,
    tags=["kling"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "manifests": Param(None, type=["null", "string"], description="Folder or URI; empty: Variable kling_manifests"),
        "output": Param(None, type=["null", "string"], description="Folder or URI; empty: Variable kling_results"),
        "date": Param(None, type=["null", "string"], description="Another date than the run's, like 2026-11-22"),
        "kling_conn_id": Param("kling_default", type="string", description="The connection, or several with commas"),
        "max_failures": Param(0, type=["null", "number"], minimum=0, description="Rows that may fail; empty: any number"),
    },
)
def kling_effects_backfill():
    @task(multiple_outputs=True)
    def find(manifests: str, output: str, date: str) -> dict:
        if not date:
            raise AirflowFailException("This run has no date: trigger it with a logical date or the param date, or by a backfill.")
        try:
            manifest = manifest_of(manifests, date)
        except KlingError as error:
            raise AirflowFailException(str(error)) from error
        if manifest is None:
            raise AirflowSkipException(f"No manifest for {date} in {manifests}.")
        return {"manifest": manifest, "results": f"{output.rstrip('/')}/{date}"}

    @task(trigger_rule="none_skipped", max_active_tis_per_dag=1, multiple_outputs=False)
    def collect(output: str) -> dict:
        return collect_results(output)

    found = find(MANIFESTS, OUTPUT, DATE)
    batch = KlingEffectBatchOperator(
        task_id="batch",
        manifest=found["manifest"],
        results=found["results"],
        max_failures="{{ params.max_failures }}",
        kling_conn_id="{{ params.kling_conn_id }}",
        timeout=timedelta(hours=24),
        deferrable=True,
    )
    # A run is what its last tasks are: without this one, a day whose videos failed would count as done.
    done = EmptyOperator(task_id="done")
    batch >> collect(OUTPUT) >> done
    batch >> done


kling_effects_backfill()
