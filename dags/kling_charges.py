"""Writes a table of what Kling has charged: every day, each charge with the DAG, run and row that it is for.

A run at 13:00 UTC writes the day before into `<output>/<date>/`: `charges.csv`, `charges.jsonl`, `sums.csv` and the page
`charges.html`, to which the task's link "Charges" leads. By then, the day's charges have had 13 hours to show; Kling says that its
balance is up to 12 hours late. A charge belongs to the day on which its task was created. Days are those of the param `timezone`,
UTC unless you change it; where midnight comes hours later than in UTC, change the schedule, too.

It compares the charges with all results in and below the folder `results`, and says what does not fit: charges for tasks that are
in none of the results, and tasks that say they cost units and were not charged.

Runs may be repeated, cleared and made up for in any order: a run replaces the files of its own day, and no others.

    airflow backfill create --dag-id kling_charges --from-date 2026-11-02 --to-date 2026-12-01    # the days of November
    airflow dags trigger kling_charges --conf '{"date": "2026-11-22", "timezone": "Asia/Shanghai"}'

The folders come from the Airflow Variables `kling_charges` and `kling_results`, or from the params. Without a folder for the table,
the run fails; without results, it lists and sums the charges.
"""

from datetime import datetime, timedelta, timezone

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import Param, dag, get_current_context, task

from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.operators import KlingChargesOperator
from airflow_provider_kling.reconciling import day_before

OUTPUT = "{{ params.output or var.value.get('kling_charges', '') }}"
RESULTS = "{{ params.results or var.value.get('kling_results', '') }}"


@dag(
    schedule="0 13 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["kling"],
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    params={
        "output": Param(None, type=["null", "string"], description="Folder or URI of the tables. If empty: Variable kling_charges"),
        "results": Param(None, type=["null", "string"], description="Folder or URI of results. If empty: Variable kling_results"),
        "date": Param(None, type=["null", "string"], description="Day to write instead of the one before the run, like 2026-11-22"),
        "timezone": Param("UTC", type="string", description="Time zone in which a day begins and ends, like Asia/Shanghai"),
        "kling_conn_id": Param("kling_default", type="string", description="Connection id, or several ids separated by commas"),
    },
)
def kling_charges():
    @task(multiple_outputs=True)
    def find(output: str, date: str, zone: str) -> dict:
        if not output:
            raise AirflowFailException("There is no folder: set the Airflow Variable kling_charges or the param output.")
        context = get_current_context()
        try:
            day = date or day_before(context.get("data_interval_end") or context["dag_run"].run_after, zone)
        except KlingInputError as error:
            raise AirflowFailException(str(error)) from error
        return {"date": day, "save_to": f"{output.rstrip('/')}/{day}"}

    found = find(OUTPUT, "{{ params.date or '' }}", "{{ params.timezone }}")
    KlingChargesOperator(
        task_id="charges",
        start=found["date"],
        save_to=found["save_to"],
        results=RESULTS,
        kling_conn_id="{{ params.kling_conn_id }}",
        timezone="{{ params.timezone }}",
    )


kling_charges()
