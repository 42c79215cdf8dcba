"""The smallest DAG with Kling: makes one effect video from one image."""

from airflow.sdk import Param, dag

from airflow_provider_kling.api import scene_names
from airflow_provider_kling.operators import KlingEffectOperator


@dag(
    schedule=None,
    doc_md=__doc__,
    tags=["kling"],
    default_args={"retries": 2},
    params={
        "effect_scene": Param(
            "pet_lion_pro",
            type="string",
            examples=scene_names(images=1),
            description="Name of the scene. Empty the field to see all of them",
        ),
        "image": Param("https://example.com/portrait.jpg", type="string", description="URL, path, or object store URI"),
        "save_to": Param(type="string", minLength=1, description="Folder or URI for the video"),
    },
)
def kling_effect():
    KlingEffectOperator(
        task_id="video",
        effect_scene="{{ params.effect_scene }}",
        image="{{ params.image }}",
        wait_for_completion=True,
        deferrable=True,
        save_to="{{ params.save_to }}",
    )


kling_effect()
