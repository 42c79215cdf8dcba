"""`progress.json`, the file beside the results in which a batch says how far it is: read for whoever wants to know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.results.xcom_keys import PROGRESS

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

LARGEST = 64 * 1024 * 1024  # bytes


def read_progress(folder: ObjectStoragePath) -> Mapping[str, Any] | None:
    """What the file in this folder says; None where there is none, or it is no JSON object. Blocks.

    Errors of the store, of which each has its own, are raised as they come.
    """
    try:
        with (folder / PROGRESS).open("rb") as file:
            text = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    try:
        data = json.loads(text) if len(text) <= LARGEST else None
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, Mapping) else None
