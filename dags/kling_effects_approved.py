"""Makes the effect videos of a manifest after a person has approved what they will cost.

Run conf: `{"manifest": <path or URI>, "output": <folder or URI>}`.

`plan` reads the manifest and opens all images; nothing is spent. `approve` waits under *Required Actions*, with the number of
videos, their cost, and the rows that will have none. After *Approve*, `batch` makes the videos, with the caps of the plan; rows
that were added to the manifest meanwhile are beyond them. After *Reject*, or without an answer in three days, nothing is made.
`report` says what was planned and what it has cost. The answer may also come from Airflow's REST API:

    PATCH /api/v2/dags/kling_effects_approved/dagRuns/<run id>/taskInstances/approve/-1/hitlDetails
    {"chosen_options": ["Approve"], "params_input": {}}
"""

import inspect
from datetime import timedelta

from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator
from airflow.sdk import Param, dag, task

from airflow_provider_kling.operators import KlingEffectBatchOperator
from airflow_provider_kling.planning import PATIENCE, compare, plan_manifest, question_of

# Older standard providers have no response_timeout, and take execution_timeout for it.
TIMEOUT = "response_timeout" if "response_timeout" in inspect.signature(HITLOperator).parameters else "execution_timeout"


def ask(context):
    """Put the plan into the question. It comes from a manifest, so it is no part of the DAG file, and never a template."""
    plan = context["ti"].xcom_pull("plan")
    if not plan["videos"] and not plan["counts"]["made"]:
        raise AirflowSkipException("There is no video to make; the log of the task plan says why.")
    context["task"].body = question_of(plan, wait=PATIENCE)


@dag(
    schedule=None,
    doc_md=__doc__,
    tags=["kling"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "manifest": Param(type="string", minLength=1, description="Path or URI of a CSV, JSON Lines or JSON file"),
        "output": Param(type="string", minLength=1, description="Folder or URI for videos, results and report"),
        "kling_conn_id": Param("kling_default", type="string", description="Connection to the Kling account"),
        "max_units": Param(None, type=["null", "number"], minimum=0, description="The most units to spend. If empty: any number"),
    },
)
def kling_effects_approved():
    @task(multiple_outputs=False)
    def plan(manifest: str, output: str, kling_conn_id: str, max_units: str) -> dict:
        return plan_manifest(manifest, results=output, kling_conn_id=kling_conn_id, for_task="batch", max_units=max_units)

    planned = plan("{{ params.manifest }}", "{{ params.output }}", "{{ params.kling_conn_id }}", "{{ params.max_units }}")
    approve = ApprovalOperator(
        task_id="approve",
        subject="May these videos be made?",
        defaults="Reject",
        pre_execute=ask,
        **{TIMEOUT: PATIENCE},
    )
    batch = KlingEffectBatchOperator(
        task_id="batch",
        manifest="{{ params.manifest }}",
        results="{{ params.output }}",
        max_videos="{{ ti.xcom_pull('plan')['max_videos'] }}",
        max_units="{{ params.max_units }}",
        kling_conn_id="{{ params.kling_conn_id }}",
        timeout=timedelta(hours=24),
        deferrable=True,
    )

    @task(multiple_outputs=False)
    def report(plan: dict, summary: dict) -> dict:
        return compare(plan, summary)

    planned >> approve >> batch
    report(planned, batch.output)


kling_effects_approved()
