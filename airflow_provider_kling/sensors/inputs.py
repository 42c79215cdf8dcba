"""What a sensor may be given as `kling_task_id`: an id, or a dict that an operator has left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_kling.arguments import is_known, is_output_of_mapped
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.values import value

USE_MAPPING = "use `KlingTaskSensor.partial(…).expand(kling_task_id=…)`, which waits for each of them"
SPACES = " \t\r\n"


@value
class AwaitedId:
    """The id of the task to wait for, and the scene it was made with, if that is known."""

    kling_task_id: str
    effect_scene: str | None = None


def row_id_of(given: Any) -> str | None:
    """The row that a rendered `kling_task_id` names, if it is a dict of a row."""
    return _text(given.get("row_id")) if isinstance(given, Mapping) else None


def read_input(given: Any) -> AwaitedId:
    """The id in a rendered `kling_task_id`. Raises KlingInputError, with what really happened, if there is none."""
    from airflow_provider_kling.api import check_id

    if isinstance(given, Mapping):
        if given.get("kling_task_id") in (None, ""):
            keys = ", ".join(map(repr, given))[:200] or "nothing"
            raise KlingInputError(f"kling_task_id is a dict with {keys}; wanted is one with 'kling_task_id', or an id.")
        found = read_input(given["kling_task_id"])
        return AwaitedId(found.kling_task_id, _text(given.get("effect_scene")))
    if given is None or (isinstance(given, str) and given.strip(SPACES) in ("", "None")):
        raise KlingInputError(
            f"kling_task_id rendered to {given!r}: the task before left no value, and no id. Was it marked as success by hand, "
            "or is do_xcom_push off? Clear it, then this task."
        )
    if isinstance(given, Sequence | set | frozenset) and not isinstance(given, str | bytes):
        raise KlingInputError(f"kling_task_id is a list: this is the output of a mapped task, or several ids: {USE_MAPPING}.")
    if isinstance(given, str) and _looks_like(given, "[]", "()"):
        raise KlingInputError(f"kling_task_id is a text that looks like a list: {USE_MAPPING}.")
    if is_output_of_mapped(given):
        raise KlingInputError(f"kling_task_id is the output of a mapped task, as a text: {USE_MAPPING}.")
    if isinstance(given, str) and _looks_like(given, "{}"):
        raise KlingInputError(
            "kling_task_id is a text that looks like a dict: set render_template_as_native_obj=True in the DAG, "
            "or pass the output itself, like `create.output`."
        )
    return AwaitedId(check_id(given))


def check_written(given: Any) -> None:
    """Check a `kling_task_id` that stands in the DAG file, when the file is parsed. A template or XComArg is not known yet."""
    if is_known(given) and given not in (None, "", "None"):  # None is what a mapped task leaves, too
        read_input(given)


def _looks_like(text: str, *brackets: str) -> bool:
    text = text.strip(SPACES)
    return any(text.startswith(pair[0]) and text.endswith(pair[1]) for pair in brackets)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
