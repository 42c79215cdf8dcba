"""The body of a callback: a task, in one of the two shapes that Kling's families of APIs have for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_kling.api.parsing import excerpt, read_object
from airflow_provider_kling.api.tasks import SUCCEED, Task
from airflow_provider_kling.errors import KlingAnswerError

# What the newer APIs call a status, where it differs. Effects live in the older one, but the console's test callback is new.
_STATUSES = {"succeeded": SUCCEED}


def callback_task(body: bytes) -> Task:
    """The task in a callback's body, which has no envelope. Raises KlingAnswerError for anything else.

    Takes the shape of `/v1` (`task_id`, `task_status`, …) and that of the newer APIs (`id`, `status`, `outputs`, …), which the
    console's test callback has. Source: the vendor's pages on callbacks and on webhooks.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise KlingAnswerError(f"A callback holds {excerpt(body)} instead of JSON.") from None
    return Task.from_json(_as_v1(data) if isinstance(data, Mapping) and "task_id" not in data and "id" in data else data)


def _as_v1(data: Mapping[str, Any]) -> dict[str, Any]:
    """A task of the newer APIs in the shape of `/v1`."""
    status = data.get("status")
    outputs = data.get("outputs")
    videos = [output for output in outputs if _is_video(output)] if isinstance(outputs, list) else outputs
    shown = {
        "task_id": data.get("id"),
        "task_status": _STATUSES.get(status, status) if isinstance(status, str) else status,
        "task_status_msg": data.get("message"),
        "task_info": {"external_task_id": data.get("external_id")},
        "created_at": data.get("create_time"),
        "updated_at": data.get("update_time"),
    }
    return {**shown, "task_result": {"videos": videos}} if videos else shown


def _is_video(output: Any) -> bool:
    return read_object(output, "an output").get("type") in (None, "video")
