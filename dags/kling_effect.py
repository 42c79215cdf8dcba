"""One image becomes one effect video: the smallest DAG with Kling."""

from airflow.sdk import dag

from airflow_provider_kling.operators import KlingEffectOperator


@dag(schedule=None, params={"image": "https://example.com/portrait.jpg", "save_to": "/tmp/kling"})  # noqa: S108
def kling_effect():
    KlingEffectOperator(
        task_id="video",
        effect_scene="pet_lion_pro",
        image="{{ params.image }}",
        wait_for_completion=True,
        deferrable=True,
        save_to="{{ params.save_to }}",
    )


kling_effect()
