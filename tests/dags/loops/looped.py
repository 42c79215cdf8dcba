"""A task loop (Airflow 3.4) of a video that is not mapped, of two that are, and of a batch."""

from airflow.sdk import Param, dag, task, task_group

from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator

SCENE, IMAGE = "squish", "https://example.com/{}.jpg"


@task_group
def again():
    one = KlingEffectOperator(
        task_id="one", effect_scene=SCENE, image=IMAGE.format("one"), wait_for_completion=True, deferrable=True, poll_interval=0.1
    )

    @task
    def rows(*, loop):
        return [
            {"row_id": f"r{number}", "effect_scene": SCENE, "image": IMAGE.format(number), "images": None}
            for number in range(2 - loop.index % 2)
        ]

    many = KlingEffectOperator.partial(task_id="many", max_videos=4).expand(row=rows())
    results = "{{ params.output }}/{{ loop.index }}"
    batch = KlingEffectBatchOperator(task_id="batch", manifest="{{ params.manifest }}", results=results)
    one >> batch >> many


@dag(schedule=None, params={"manifest": Param("", type="string"), "output": Param("", type="string")})
def looped():
    again.loop(max_iterations=3)


looped()
