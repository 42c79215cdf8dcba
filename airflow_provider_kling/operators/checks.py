"""The arguments of the operators, checked: those of the DAG file when it is parsed, the others as soon as they are rendered."""

from __future__ import annotations

from typing import Any

from airflow_provider_kling.arguments import IMAGES, check_images, check_rendered_value, check_text, is_known
from airflow_provider_kling.client import seconds
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.saving import check_saving

SAVE_TO = "a folder or URI"
TEXTS = {
    "effect_scene": "the name of a scene, like 'pet_lion_pro'",
    "save_to": SAVE_TO,
    "external_task_id": "an id of your own, as text",
    "callback_url": "a URL, or 'auto'",
}
EFFECT = "KlingEffectOperator"
BATCH = "KlingEffectBatchOperator"
DRY = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def check_written(operator: Any) -> None:
    """Check what is known of the arguments of KlingEffectOperator when the DAG is parsed. A row has scene and images."""
    given = operator.row is None and not operator.request_follows  # scene and images stand in the DAG file
    if given and operator.effect_scene is None:
        raise KlingInputError("effect_scene is missing; wanted is the name of a scene, like 'pet_lion_pro', or row.")
    _check_settings(operator)
    image, images = operator.image, operator.images
    if given and is_known(image) and is_known(images):
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
    _check_optional(vars(operator), rendered)
    check_images(operator.image, operator.images, rendered)


def _check_optional(values: dict[str, Any], rendered: frozenset[str]) -> None:
    """Raise KlingInputError for optional arguments that rendered to None. What the author left out is not among `rendered`."""
    for name in ("kling_conn_id", "row_id", "fresh"):
        if name in rendered:
            check_rendered_value(name, values[name])


def _check_settings(operator: Any) -> None:
    seconds(operator.timeout, "timeout")
    seconds(operator.poll_interval, "poll_interval")
    if operator.save_to is not None and not operator.wait_for_completion:
        raise KlingInputError(
            "save_to is given, but this operator only creates the task, so that there is no video to save: set "
            "wait_for_completion=True, or give save_to to the KlingTaskSensor that waits for the task."
        )
    check_saving(vars(operator), columns=() if operator.row is None and not operator.request_follows else None)
    _check_caps(vars(operator))


def check_batch(values: dict[str, Any], *, rendered: frozenset[str] = frozenset()) -> None:
    """Check the arguments of KlingEffectBatchOperator. Those that are not known yet are left out."""
    seconds(values["timeout"], "timeout")
    seconds(values["poll_interval"], "poll_interval")
    wanted = {"manifest": "the path or URI of a manifest", "results": SAVE_TO, "save_to": SAVE_TO}
    for name in wanted:
        if is_known(values[name]) and not (name == "save_to" and values[name] is None and name not in rendered):
            check_text(name, values[name], wanted=wanted[name], operator=BATCH, rendered=name in rendered)
    _check_optional(values, rendered)
    check_saving(values, columns=None)
    _check_caps(values)
    if is_known(values["dry_run"]):
        is_dry(values["dry_run"])
    _check_count("downloads", values["downloads"])
    if values["max_concurrency"] is not None:
        _check_count("max_concurrency", values["max_concurrency"])
    if values["format"] is not None and is_known(values["format"]):
        from airflow_provider_kling.manifests import FORMATS

        if not isinstance(values["format"], str) or values["format"].lower() not in FORMATS.values():
            raise KlingInputError(f"format is {values['format']!r}; wanted is one of {', '.join(dict.fromkeys(FORMATS.values()))}.")
    _check_rows(values["shard"], values["max_failures"])


def is_dry(value: Any) -> bool:
    """Whether a run is dry, by a truth value or a text. Raises KlingInputError for anything else: a doubt must not cost money."""
    found = DRY.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise KlingInputError(f"dry_run is {value!r}; wanted is True or False.")
    return found


def _check_rows(shard: Any, max_failures: Any) -> None:
    if shard is not None and is_known(shard):
        from airflow_provider_kling.batch import shard_of

        shard_of(shard)
    if max_failures is not None and is_known(max_failures):
        from airflow_provider_kling.batch import limit_of

        limit_of(max_failures, 1)


def _check_caps(values: dict[str, Any]) -> None:
    """Raise KlingInputError for caps that are none, as far as they are known."""
    given = [values[name] if is_known(values[name]) else None for name in ("max_videos", "max_units")]
    if given != [None, None]:
        from airflow_provider_kling.caps import RunCap  # most tasks have no caps

        RunCap.of(*given)


def _check_count(name: str, value: Any) -> None:
    """Raise KlingInputError for anything but a whole number from 1 on, if it is known."""
    if is_known(value) and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise KlingInputError(f"{name} is {value!r}; wanted is a whole number from 1 on.")
