"""The DAGs of the stack tests: a manifest through each mode of the package's operators, with short waits."""

from datetime import timedelta

from airflow.sdk import dag, get_current_context, task, task_group

from airflow_provider_kling.mapping import outcomes_of, read_manifest, write_results
from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor

MANIFEST, OUTPUT = "{{ params.manifest }}", "{{ params.output }}"
PARAMS = {"manifest": "", "output": "", "kling_conn_id": "kling_default", "timeout": 600, "fresh": "", "own_id": ""}


@task
def read(manifest: str) -> list[dict]:
    return read_manifest(manifest)


@task(trigger_rule="all_done", multiple_outputs=False, retries=5)
def collect(manifest: str, output: str, *task_ids: str) -> dict:
    return write_results(manifest, output, outcomes_of(get_current_context()["ti"], *task_ids))


def one_task_a_row(
    dag_id: str,
    *,
    deferrable: bool,
    retries: int,
    timeout: float = 600,
    own_ids: bool = False,
    end_from_trigger: bool | str = False,
) -> None:
    """A DAG with one operator for each row, which creates, waits and saves."""
    default_args = {"retries": retries, "retry_delay": timedelta(seconds=1)}

    @dag(dag_id=dag_id, schedule=None, params=PARAMS, default_args=default_args, max_active_tasks=100, max_active_runs=50)
    def videos():
        rows = read(MANIFEST)
        video = KlingEffectOperator.partial(
            task_id="video",
            kling_conn_id="{{ params.kling_conn_id }}",
            wait_for_completion=True,
            save_to=OUTPUT + "/videos",
            poll_interval=1,
            timeout=timeout,
            fresh="{{ params.fresh }}",
            deferrable=deferrable,
            end_from_trigger=end_from_trigger,
            external_task_id="{{ params.own_id }}-{{ task.row.row_id }}" if own_ids else None,
        ).expand(row=rows)
        video >> collect(MANIFEST, OUTPUT, "video")

    videos()


def two_tasks_a_row(dag_id: str, *, retries: int, timeout: float = 600, end_from_trigger: bool = False) -> None:
    """A DAG like `kling_effects_mapped`: an operator creates, a sensor waits and saves."""
    default_args = {"retries": retries, "retry_delay": timedelta(seconds=1)}

    @dag(dag_id=dag_id, schedule=None, params=PARAMS, default_args=default_args, max_active_tasks=100, max_active_runs=50)
    def videos():
        @task_group
        def video(row):
            arguments = {"row": row, "kling_conn_id": "{{ params.kling_conn_id }}", "deferrable": True}
            arguments["end_from_trigger"] = end_from_trigger
            create = KlingEffectOperator(task_id="create", timeout=timeout, **arguments)
            KlingTaskSensor(
                task_id="wait",
                kling_task_id=create.output,
                save_to=OUTPUT + "/videos",
                poke_interval=1,
                timeout=timeout,
                **arguments,
            )

        video.expand(row=read(MANIFEST)) >> collect(MANIFEST, OUTPUT, "video.create", "video.wait")

    videos()


def one_task_for_all(dag_id: str, *, deferrable: bool) -> None:
    """A DAG with one task for the whole manifest."""
    default_args = {"retries": 10, "retry_delay": timedelta(seconds=1)}

    @dag(dag_id=dag_id, schedule=None, params=PARAMS, default_args=default_args, max_active_runs=50)
    def videos():
        KlingEffectBatchOperator(
            task_id="video",
            manifest=MANIFEST,
            results=OUTPUT,
            kling_conn_id="{{ params.kling_conn_id }}",
            poll_interval=1,
            timeout=600,
            deferrable=deferrable,
        )

    videos()


one_task_a_row("on_worker", deferrable=False, retries=10)
one_task_a_row("in_triggerer", deferrable=True, retries=10)
one_task_a_row("in_triggerer_once", deferrable=True, retries=0)
one_task_a_row("impatient", deferrable=True, retries=0, timeout=15)
two_tasks_a_row("create_and_wait", retries=10)
two_tasks_a_row("create_and_wait_once", retries=0)
one_task_a_row("pausable", deferrable=True, retries=10)
one_task_a_row("cleared_by_command", deferrable=True, retries=10)
one_task_a_row("by_own_ids", deferrable=True, retries=10, own_ids=True)
one_task_a_row("ends_in_triggerer", deferrable=True, retries=10, end_from_trigger="auto")
two_tasks_a_row("both_end_in_triggerer", retries=10, end_from_trigger=True)
one_task_for_all("batch_on_worker", deferrable=False)
one_task_for_all("batch_in_triggerer", deferrable=True)
