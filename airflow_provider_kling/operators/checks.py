"""The arguments of the operators, checked: those of the DAG file when it is parsed, the others as soon as they are rendered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_kling.arguments import LIKE_A_LIST, NO_VALUE, check_text, is_blank, is_known, looks_like_list
from airflow_provider_kling.client import seconds
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.saving import check_saving

IMAGE = "one image: a URL, a path, or base64 as text"
IMAGES = "a list of two images"
SAVE_TO = "a folder or URI"
TEXTS = {
    "effect_scene": "the name of a scene, like 'pet_lion_pro'",
    "save_to": SAVE_TO,
    "external_task_id": "an id of your own, as text",
    "callback_url": "a URL",
}
EFFECT = "KlingEffectOperator"
BATCH = "KlingEffectBatchOperator"


def check_written(operator: Any) -> None:
    """Check what is known of the arguments of KlingEffectOperator when the DAG is parsed. A row has scene and images."""
    if operator.row is None and operator.effect_scene is None:
        raise KlingInputError("effect_scene is missing; wanted is the name of a scene, like 'pet_lion_pro', or row.")
    _check_settings(operator)
    image, images = operator.image, operator.images
    if operator.row is None and is_known(image) and is_known(images):
        check_images(image, images)
    elif isinstance(images, str) and images and is_known(images):
        raise KlingInputError(f"images is a text; wanted is {IMAGES}.")
    for name, wanted in TEXTS.items():
        value = getattr(operator, name)
        if value is not None and is_known(value):
            check_text(name, value, wanted=wanted, operator=EFFECT)


def check_rendered(operator: Any, rendered: frozenset[str]) -> None:
    """Check all arguments of KlingEffectOperator. `rendered`: those that were not known before."""
    _check_settings(operator)
    for name in TEXTS.keys() & rendered:
        check_text(name, getattr(operator, name), wanted=TEXTS[name], operator=EFFECT, rendered=True)
    check_images(operator.image, operator.images, rendered)


def _check_settings(operator: Any) -> None:
    seconds(operator.timeout, "timeout")
    seconds(operator.poll_interval, "poll_interval")
    if operator.save_to is not None and not operator.wait_for_completion:
        raise KlingInputError(
            "save_to is given, but this operator only creates the task, so that there is no video to save: set "
            "wait_for_completion=True, or give save_to to the KlingTaskSensor that waits for the task."
        )
    check_saving(vars(operator), columns=() if operator.row is None else None)


def check_images(image: Any, images: Any, rendered: frozenset[str] = frozenset()) -> None:
    """Raise KlingInputError unless there is one image, or a list of images. `rendered`: the arguments that were not known."""
    if is_blank(image, rendered=False) and _is_empty(images):
        if rendered:
            name = "image" if "image" in rendered else "images"
            raise KlingInputError(f"{name} rendered to {image if name == 'image' else images!r}: {NO_VALUE}")
        raise KlingInputError(f"There is no image; wanted is image with {IMAGE}, or images with {IMAGES}.")
    if image and not _is_empty(images):
        raise KlingInputError("Both image and images are given; wanted is image for one, images for two.")
    if _is_empty(images):
        if isinstance(image, list | tuple | set | frozenset):
            raise KlingInputError(f"image is a {type(image).__name__}; wanted is {IMAGE}. Two images are a list in images.")
        check_text("image", image, wanted=IMAGE, operator=EFFECT, rendered="image" in rendered)
        return
    if isinstance(images, str):
        if "images" in rendered and looks_like_list(images):
            raise KlingInputError(f"images rendered to {LIKE_A_LIST}; wanted is {IMAGES}.")
        if is_blank(images, rendered="images" in rendered):
            raise KlingInputError(f"images rendered to {images!r}: {NO_VALUE}")
        raise KlingInputError(f"images is a text; wanted is {IMAGES}.")
    if not isinstance(images, Sequence):
        raise KlingInputError(f"images is a {type(images).__name__}; wanted is {IMAGES}.")
    for number, one in enumerate(images):
        check_text(f"images[{number}]", one, wanted=IMAGE, operator=EFFECT, rendered="images" in rendered)


def check_batch(values: dict[str, Any], *, rendered: frozenset[str] = frozenset()) -> None:
    """Check the arguments of KlingEffectBatchOperator. Those that are not known yet are left out."""
    seconds(values["timeout"], "timeout")
    seconds(values["poll_interval"], "poll_interval")
    wanted = {"manifest": "the path or URI of a manifest", "results": SAVE_TO, "save_to": SAVE_TO}
    for name in wanted:
        if is_known(values[name]) and not (name == "save_to" and values[name] is None and name not in rendered):
            check_text(name, values[name], wanted=wanted[name], operator=BATCH, rendered=name in rendered)
    check_saving(values, columns=None)
    _check_count("downloads", values["downloads"])
    if values["max_concurrency"] is not None:
        _check_count("max_concurrency", values["max_concurrency"])
    if values["format"] is not None and is_known(values["format"]):
        from airflow_provider_kling.manifests import FORMATS

        if not isinstance(values["format"], str) or values["format"].lower() not in FORMATS.values():
            raise KlingInputError(f"format is {values['format']!r}; wanted is one of {', '.join(dict.fromkeys(FORMATS.values()))}.")
    _check_rows(values["shard"], values["max_failures"])


def _check_rows(shard: Any, max_failures: Any) -> None:
    if shard is not None and is_known(shard):
        from airflow_provider_kling.batch import shard_of

        shard_of(shard)
    if max_failures is not None and is_known(max_failures):
        from airflow_provider_kling.batch import limit_of

        limit_of(max_failures, 1)


def _is_empty(images: Any) -> bool:
    return images is None or (isinstance(images, str | list | tuple) and not images)


def _check_count(name: str, value: Any) -> None:
    """Raise KlingInputError for anything but a whole number from 1 on, if it is known."""
    if is_known(value) and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise KlingInputError(f"{name} is {value!r}; wanted is a whole number from 1 on.")
