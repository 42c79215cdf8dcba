"""How operators and sensor save videos: the arguments `file_name`, `watermark` and `sidecar`, and the fields of a name.

May import `errors`, `arguments` and `naming`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_kling import naming
from airflow_provider_kling.arguments import is_later
from airflow_provider_kling.errors import KlingInputError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.naming import SaveAs


def check_saving(values: Mapping[str, Any], *, columns: Collection[str] | None) -> None:
    """Raise KlingInputError for arguments that cannot work, among these of an operator or sensor.

    `columns` are those of the manifest that a row hands out; None where they are not known yet.
    """
    for name in ("watermark", "sidecar"):
        if not isinstance(values[name], bool):
            raise KlingInputError(f"{name} is {values[name]!r}; wanted is True or False.")
    given = [name for name in ("file_name", "watermark", "sidecar") if values[name]]
    if given and values["save_to"] is None:
        raise KlingInputError(f"{given[0]} is given, but save_to is not: nothing is saved without it.")
    file_name = values["file_name"]
    if is_later(file_name):
        raise KlingInputError("file_name comes from another task; wanted is a text in the DAG file, with fields like {row_id}.")
    if file_name is not None:
        naming.check_fields(file_name, columns=columns)


def save_as_of(values: Mapping[str, Any], context: Context, *, effect_scene: str | None = None) -> SaveAs:
    """How a task instance saves the videos of its row, from its arguments. Raises KlingInputError for those that cannot work."""
    row = values["row"] if isinstance(values.get("row"), Mapping) else {}
    columns = row.get("columns") or {}
    check_saving(values, columns=columns)
    fields = {
        **columns,
        **naming.run_fields(context),
        "row_id": values["row_id"],
        "effect_scene": effect_scene or values.get("effect_scene") or row.get("effect_scene"),
    }
    return naming.SaveAs(file_name=values["file_name"], fields=fields, watermark=values["watermark"], sidecar=values["sidecar"])
