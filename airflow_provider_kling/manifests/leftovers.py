"""Rows of `unfinished.jsonl`, which the results of a run leave behind: a row as it was, and why it has no video.

What such a row says of its run is no column of the manifest: it is taken off when the row is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from airflow_provider_kling.api import ERROR_KINDS

REQUEST = "unfinished_request"  # the column with a hash of scene and images: what else the row says is true of these alone
REASONS = ("status", "error_kind", "refused_image", "error", "kling_task_id", "external_task_id", REQUEST)
STILL_AT_KLING = "error"  # the status of a row whose task may not have failed


class Leftover(NamedTuple):
    """A row without what it says of its run; `task` is the id of the task it was left with, if that belongs to `request`."""

    columns: dict[str, Any]
    task: str | None = None
    request: str | None = None


def split_reasons(columns: Mapping[str, Any]) -> Leftover:
    """The columns of a row, without those of `unfinished.jsonl` where it is one of its rows."""
    if columns.get("error_kind") not in ERROR_KINDS or not isinstance(columns.get(REQUEST), str) or not columns.get("status"):
        return Leftover(dict(columns))
    own = {name: value for name, value in columns.items() if name not in REASONS}
    known = columns.get("kling_task_id") or columns.get("external_task_id")
    task = known if columns["status"] == STILL_AT_KLING and isinstance(known, str) else None
    return Leftover(own, task, columns[REQUEST])


def request_of(effect_scene: Any, images: Sequence[str]) -> str:
    """A hash of scene and images as a row names them."""
    text = json.dumps([effect_scene, *images], default=str)
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
