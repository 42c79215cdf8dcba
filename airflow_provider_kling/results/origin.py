"""Which run of which DAG has written results: a small file beside them, so that charges can be traced to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_kling.storage import write_text

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

ORIGIN = "run.json"
LARGEST = 100_000  # bytes


class Origin(NamedTuple):
    """The DAG and the run that wrote results."""

    dag_id: str
    run_id: str


def this_run() -> Origin | None:
    """The DAG and the run of this Airflow task; None outside of one."""
    from airflow.sdk import get_current_context

    try:
        context = get_current_context()
    except RuntimeError:
        return None
    return Origin(str(context["dag"].dag_id), str(context["run_id"]))


def write_origin(folder: ObjectStoragePath) -> None:
    """Write the file into the folder of the results; nothing outside of an Airflow task."""
    if origin := this_run():
        write_text(folder / ORIGIN, [json.dumps(origin._asdict())])


def read_origin(folder: ObjectStoragePath) -> Origin | None:
    """The DAG and the run that wrote the results in this folder; None where nothing tells."""
    try:
        with (folder / ORIGIN).open("rb") as file:
            data = json.loads(file.read(LARGEST))
        origin = Origin(data["dag_id"], data["run_id"])
    except Exception:  # noqa: BLE001 - older results have no such file, and each store has errors of its own
        return None
    return origin if all(isinstance(text, str) and text for text in origin) else None
