"""The files of a done task, for operators and sensor: videos, and the versions with a watermark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_kling.client import monotonic_now
from airflow_provider_kling.hooks.calls import SAVE_TIMEOUT, save_flow
from airflow_provider_kling.metrics import SAVE_SPAN

if TYPE_CHECKING:
    from airflow_provider_kling.api import Task
    from airflow_provider_kling.client import flows
    from airflow_provider_kling.hooks.connection import ConnectionHook
    from airflow_provider_kling.naming import SaveAs


def save_files(hook: ConnectionHook, task: Task, destination: str, save_as: SaveAs) -> flows.SavedFiles:
    """Save what `save_as` asks for under this folder or URI. Raises what `KlingHook.save_videos` raises."""
    flow = save_flow(hook.product, task, destination, save_as)
    return hook.run(flow, deadline=monotonic_now() + SAVE_TIMEOUT, span=SAVE_SPAN)
