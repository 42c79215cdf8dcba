"""Makes one effect video from two images: a dual scene, like a hug of two people."""

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
            "hug_pro",
            type="string",
            examples=scene_names(images=2),
            description="Name of the scene. Empty the field to see all of them",
        ),
        "left": Param("https://example.com/left.jpg", type="string", description="URL, path, or object store URI"),
        "right": Param("https://example.com/right.jpg", type="string", description="URL, path, or object store URI"),
        "save_to": Param(type="string", minLength=1, description="Folder or URI for the video"),
    },
)
def kling_effect_dual():
    KlingEffectOperator(
        task_id="video",
        effect_scene="{{ params.effect_scene }}",
        images=["{{ params.left }}", "{{ params.right }}"],
        wait_for_completion=True,
        deferrable=True,
        save_to="{{ params.save_to }}",
    )


kling_effect_dual()
