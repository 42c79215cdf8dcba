"""Makes a video of an image again and again, until a person likes it: at most five times.

Needs Airflow 3.4, which has task loops. On an older Airflow, the DAG has one task, which fails and says so.

Run conf: `{"image": <URL, path or URI>, "output": <folder or URI>, "folder": <folder or URI for what is published>}`.

After each video, the task `ask` waits under *Required Actions*: "I like it" ends the loop and publishes the video, "Make another
one" pays for the next one, "Stop" ends the loop without a video. Without an answer in three days, the loop stops: nothing is paid
for that nobody waits for. The answer may also come from Airflow's REST API; `region_id` and `region_index` are those of the
task instance, as `GET …/taskInstances` shows them:

    PATCH /api/v2/dags/kling_effect_until_liked/dagRuns/<run id>/taskInstances/until_liked.ask/-1/hitlDetails
          ?region_id=…&region_index=…
    {"chosen_options": ["Make another one"], "params_input": {}}

What a run costs is capped twice: by `MOST_VIDEOS` here, and by the param `max_videos`. `<output>/results.jsonl` has a line for each
video that was made, liked or not. A retry or a clear pays for no video twice.
"""

from datetime import timedelta

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param, dag, get_current_context, task, task_group

from airflow_provider_kling.links import with_report_links
from airflow_provider_kling.mapping import outcomes_of, write_results
from airflow_provider_kling.operators import KlingEffectOperator
from airflow_provider_kling.publishing import check_folder, publish
from airflow_provider_kling.reviewing import LIKE, MORE, STOP, answer_of, ask_about, liked_video

try:
    from airflow.sdk import LoopDecision
except ImportError:  # before Airflow 3.4
    LoopDecision = None

MOST_VIDEOS = 5
PATIENCE = timedelta(days=3)


@task
def needs_airflow_3_4():
    raise AirflowFailException("This DAG needs Airflow 3.4, which has task loops. Nothing was sent, nothing was paid.")


@task
def prepare(folder: str) -> str:
    return check_folder(folder, named="the param folder")


@task_group
def until_liked(folder):
    video = KlingEffectOperator(
        task_id="video",
        effect_scene="{{ params.effect_scene }}",
        image="{{ params.image }}",
        kling_conn_id="{{ params.kling_conn_id }}",
        save_to="{{ params.output }}/videos",
        wait_for_completion=True,
        deferrable=True,
        max_videos="{{ params.max_videos }}",
    )

    def fill_in(context):
        ask_about(context, context["ti"].xcom_pull("until_liked.video"), wait=f"{PATIENCE.days} days")

    ask = HITLOperator(
        task_id="ask",
        subject="Do you like this video?",
        options=[LIKE, MORE, STOP],
        defaults=STOP,
        response_timeout=PATIENCE,
        pre_execute=fill_in,
    )
    folder >> video >> ask


def answered(*, loop, params):
    """Ends the loop when a person likes the video or stops it, and when there is no money for another one."""
    answer, most = answer_of(loop.result), min(loop.max_iterations, params["max_videos"])
    if answer == MORE and loop.index + 1 < most:
        return LoopDecision(stop=False, reason=answer)
    return LoopDecision(stop=True, reason=f"{answer}, but {most} videos are the most" if answer == MORE else answer)


@task(trigger_rule="all_done", multiple_outputs=False)
def collect(output: str) -> dict:
    return write_results(None, output, outcomes_of(get_current_context()["ti"], "until_liked.video"))


@task(multiple_outputs=False)
def publish_liked(folder: str, output: str) -> dict:
    ti = get_current_context()["ti"]
    liked = liked_video(ti.xcom_pull("until_liked.video"), ti.xcom_pull("until_liked.ask"))
    if liked is None:
        raise AirflowSkipException("No video was liked, so none is published.")
    return publish([liked], folder)


@dag(
    schedule=None,
    doc_md=__doc__,
    tags=["kling"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "effect_scene": Param("pet_lion_pro", type="string", description="Name of the scene"),
        "image": Param("https://example.com/portrait.jpg", type="string", description="URL, path, or object store URI"),
        "output": Param(type="string", minLength=1, description="Folder or URI for videos, results and report"),
        "folder": Param(type="string", minLength=1, description="Folder or URI to publish the liked video to"),
        "max_videos": Param(
            3, type="integer", minimum=1, maximum=MOST_VIDEOS, description="The most videos that this run may pay for"
        ),
        "kling_conn_id": Param("kling_default", type="string", description="Connection to the Kling account"),
    },
)
def kling_effect_until_liked():
    if LoopDecision is None:
        needs_airflow_3_4()
        return
    folder, output = prepare("{{ params.folder }}"), "{{ params.output }}"
    loop = until_liked.partial(folder=folder).loop(max_iterations=MOST_VIDEOS, until=answered)
    loop >> [with_report_links(collect(output)), publish_liked(folder, output)]


kling_effect_until_liked()
