"""DAGs of all shapes in which rows are made: mapped groups, mapped operators, pairs, batches; and one without Kling."""

from __future__ import annotations

from airflow.sdk import DAG, Asset, task, task_group

from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor


class OurOperator(KlingEffectOperator):
    """An operator as users derive them."""


def dags() -> dict[str, DAG]:
    with DAG("kling_mapped", schedule=None) as mapped:

        @task
        def read():
            return []

        @task_group
        def video(row):
            create = KlingEffectOperator(task_id="create", row=row)
            KlingTaskSensor(task_id="wait", row=row, kling_task_id=create.output, save_to="/tmp/x")  # noqa: S108

        @task
        def collect():
            return {}

        video.expand(row=read()) >> collect()
    with DAG("kling_whole", schedule=None) as whole:

        @task
        def read_rows():
            return []

        OurOperator.partial(task_id="make", wait_for_completion=True).expand(row=read_rows())
    with DAG("kling_pair", schedule=None) as pair:
        made = KlingEffectOperator(task_id="create", effect_scene="squish", image="https://example.com/a.jpg")
        KlingTaskSensor(task_id="wait", kling_task_id=made.output)
    with DAG("kling_batch_dag", schedule=None) as batch:
        KlingEffectBatchOperator(task_id="batch", manifest="/m.csv", results="/r")
    with DAG("on_ends", schedule=Asset("kling://kling_signed")) as on_ends:

        @task
        def read_ends():
            return []

        read_ends()
    with DAG("no_kling", schedule=None) as other:

        @task
        def hello():
            return 1

        hello()
    return {dag.dag_id: dag for dag in (mapped, whole, pair, batch, on_ends, other)}
