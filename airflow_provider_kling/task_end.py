"""How operator and sensor end a task whose videos are made: save them, count the end, and tell assets and links of the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_kling.asset_events import add_result
from airflow_provider_kling.outcomes import FailureRecord, finish

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.api import Task
    from airflow_provider_kling.hooks import KlingHook
    from airflow_provider_kling.naming import SaveAs


class Saves(Protocol):
    """The part of an operator or sensor that this module uses."""

    row_id: Any
    save_to: Any
    save_as: SaveAs
    video_url: str

    def show_links(self, show: bool, /) -> None: ...


def end(operator: Saves, context: Context, hook: KlingHook, task: Task, record: FailureRecord) -> dict[str, Any]:
    """The result of a done task, which is the return value of the Airflow task. Raises KlingTaskFailed for a failed one."""
    saving: dict[str, Any] = {"save_to": operator.save_to, "save_as": operator.save_as, "row_id": operator.row_id}
    result = finish(hook, task, **saving, effect_scene=record.effect_scene, record=record)
    operator.video_url = result["videos"][0]["url"]
    add_result(context, result)
    operator.show_links(True)
    return result
