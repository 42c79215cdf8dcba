"""Makes the effect videos of a manifest, asks a person to look at them, and publishes those that are approved.

Run conf: `{"manifest": <path or URI>, "output": <folder or URI>, "folder": <folder or URI for what is published>}`.

The task `review` waits under *Required Actions*: one question for all videos, with the options Approve and Reject, a list of
rejected rows, and whether another video is to be made of each of these. Such a second video is reviewed, too; there is no third.
Without an answer in three days, nothing is published. The answer may also come from Airflow's REST API:

    PATCH /api/v2/dags/kling_effects_reviewed/dagRuns/<run id>/taskInstances/review/-1/hitlDetails
    {"chosen_options": ["Approve"], "params_input": {"rejected": ["row-7"], "ask_again": true}}

`<output>/reviewed/results.jsonl` says what became of each row. To decide anew, clear the task `review`; no video is paid for
twice, and nothing is removed from the folder.
"""

import inspect
from datetime import timedelta

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param, dag, get_current_context, task

from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.operators import KlingEffectBatchOperator
from airflow_provider_kling.publishing import check_folder
from airflow_provider_kling.reviewing import (
    APPROVE,
    REJECT,
    Review,
    ask,
    decision_of,
    publish_reviewed,
    question,
    reviewed,
    write_rejected,
)

MANIFEST, OUTPUT = "{{ params.manifest }}", "{{ params.output }}"
FOLDER = "{{ params.folder or var.value.get('kling_published', '') }}"
PATIENCE = timedelta(days=3)
# Older standard providers have no response_timeout, and take execution_timeout for it.
TIMEOUT = "response_timeout" if "response_timeout" in inspect.signature(HITLOperator).parameters else "execution_timeout"


def videos_of(task_id: str, manifest, results, **options) -> KlingEffectBatchOperator:
    """The videos of a manifest."""
    return KlingEffectBatchOperator(
        task_id=task_id,
        manifest=manifest,
        results=results,
        kling_conn_id="{{ params.kling_conn_id }}",
        timeout=timedelta(hours=24),
        deferrable=True,
        **options,
    )


def review_of(videos: KlingEffectBatchOperator, task_id: str, *, may_ask_again: bool) -> HITLOperator:
    """The question about these videos. Its text, and the rows to choose from, are put into it when it is asked."""

    def fill_in(context):
        ask(context, context["ti"].xcom_pull(videos.task_id), may_ask_again=may_ask_again, wait=f"{PATIENCE.days} days")

    return HITLOperator(
        task_id=task_id,
        subject="Which of these videos may be published?",
        options=[APPROVE, REJECT],
        defaults=REJECT,
        params=question([], may_ask_again=may_ask_again),
        pre_execute=fill_in,
        **{TIMEOUT: PATIENCE},
    )


@dag(
    schedule=None,
    doc_md=__doc__,
    tags=["kling"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "manifest": Param(type="string", minLength=1, description="Path or URI of a CSV, JSON Lines or JSON file"),
        "output": Param(type="string", minLength=1, description="Folder or URI for videos, results and report"),
        "folder": Param(
            None, type=["null", "string"], description="Folder or URI to publish to. If empty: Variable kling_published"
        ),
        "kling_conn_id": Param("kling_default", type="string", description="Connection to the Kling account"),
    },
)
def kling_effects_reviewed():
    @task
    def prepare(folder: str) -> str:
        return check_folder(folder, named="the param folder or the Airflow Variable kling_published")

    # Also where the review was skipped, because there is no video.
    @task(trigger_rule="none_failed_min_one_success", multiple_outputs=False)
    def decide(videos: dict, response_of: str) -> dict:
        try:
            return decision_of(get_current_context()["ti"].xcom_pull(response_of), videos["results"])
        except KlingInputError as error:
            raise AirflowFailException(str(error)) from error

    @task
    def reject(manifest: str, videos: dict, decision: dict, output: str) -> str:
        if (rejected := write_rejected(manifest, videos["results"], decision, f"{output}/again")) is None:
            raise AirflowSkipException("Nothing is asked for again.")
        return rejected

    @task(multiple_outputs=False)
    def publish(output: str, folder: str, *reviews: dict) -> dict:
        lines = reviewed(*(Review(review["videos"]["results"], review["decision"]) for review in reviews))
        return publish_reviewed(lines, folder, f"{output}/reviewed", title="Kling effects: reviewed")

    folder = prepare(FOLDER)
    videos = videos_of("videos", MANIFEST, OUTPUT)
    review = review_of(videos, "review", may_ask_again=True)
    decision = decide(videos.output, "review")
    folder >> videos >> review >> decision
    first = {"videos": videos.output, "decision": decision}
    published = publish(OUTPUT, folder, first)

    # The external id of a row depends on `fresh` and on the task: it is another one than before, and the same in each try.
    rejected = reject(MANIFEST, videos.output, decision, OUTPUT)
    again = videos_of("videos_again", rejected, f"{OUTPUT}/again", fresh="again")
    second_review = review_of(again, "review_again", may_ask_again=False)
    second_decision = decide.override(task_id="decide_again")(again.output, "review_again")
    again >> second_review >> second_decision
    second = {"videos": again.output, "decision": second_decision}
    published >> publish.override(task_id="publish_again")(OUTPUT, folder, first, second)


kling_effects_reviewed()
