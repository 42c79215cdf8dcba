"""A row of a run as a value, and how the line of a result, which anyone may have edited, becomes one. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from airflow_provider_kling.api import SUCCEED
from airflow_provider_kling.manifests import IMAGE_COLUMNS, RESULT_COLUMNS
from airflow_provider_kling.redaction import show_text
from airflow_provider_kling.results import ERROR, STATUSES, kind_of, reason_of

RUNNING: Literal["running"] = "running"
WAITING: Literal["waiting"] = "waiting"
STATES = (*STATUSES, RUNNING, WAITING)

_KNOWN = frozenset({"id", "row_id", "effect_scene", *IMAGE_COLUMNS, *RESULT_COLUMNS})


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A row of a run: what is shown of it, and what its files and links are made from.

    `images` are sources: links, or places that the API server may be able to read. `videos` are those of a result.
    """

    key: str
    state: str
    row_id: str | None = None
    effect_scene: str | None = None
    error: str | None = None
    error_kind: str | None = None
    refused_image: int | None = None
    message: str | None = None
    units: str | None = None
    task_id: str = ""
    map_index: int = -1
    iteration: int | None = None
    region: tuple[str, int] | None = None
    task_state: str | None = None
    kling_task_id: str | None = None
    external_task_id: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    images: tuple[str, ...] = ()
    videos: tuple[Mapping[str, Any], ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    conn_ids: str = ""
    instances: frozenset[tuple[str, int]] = frozenset()


def row_of_line(
    line: Mapping[str, Any], *, task_id: str, map_index: int, task_state: str | None, conn_ids: str, scope: str
) -> RunRow:
    """The row of a line of `results.jsonl`, or of a snapshot of a batch that runs."""
    status = line.get("status")
    row_id = text_of(line.get("id"))
    return RunRow(
        key=key_of(scope, row_id),
        state=status if status in STATES else ERROR,
        row_id=row_id,
        effect_scene=text_of(line.get("effect_scene")),
        images=images_of(line),
        columns={str(name): value for name, value in line.items() if name not in _KNOWN and value not in (None, "")},
        task_id=task_id,
        map_index=map_index,
        task_state=task_state,
        conn_ids=conn_ids,
        instances=frozenset({(task_id, map_index)}),
        **facts_of(line),
    )


def key_of(*identity: object) -> str:
    """A key of a row: short, the same as long as its row is, and fit for an address and an anchor."""
    return "r" + hashlib.sha256(repr(identity).encode(errors="replace")).hexdigest()[:20]


def images_of(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The sources of the images that the columns of a row, or the fields of a task, name."""
    several = fields.get("images")
    values = [fields.get("image"), fields.get("image_1"), fields.get("image_2")]
    values += several if isinstance(several, list | tuple) else [several]
    return tuple(value for value in values if isinstance(value, str) and value and value != "None")


def text_of(value: Any) -> str | None:
    """A value as text, exactly; None for None and for what is no single value."""
    if value is None or isinstance(value, list | dict | bool):
        return None
    return str(value)


def conn_ids_of(fields: Mapping[str, Any]) -> str:
    """The connections of a task, as a text with commas."""
    value = fields.get("kling_conn_id")
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else text_of(value) or ""


def facts_of(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """What an outcome or a line says of its row, whatever its author has put into it."""
    error, message, videos = outcome.get("error"), outcome.get("message"), outcome.get("videos")
    refused = outcome.get("refused_image")
    return {
        "error": show_text(str(error)) if error else None,
        "error_kind": kind_of(outcome),
        "refused_image": refused if isinstance(refused, int) and not isinstance(refused, bool) else None,
        "message": show_text(str(message)) if message else None,
        "units": text_of(outcome.get("units")),
        "kling_task_id": text_of(outcome.get("kling_task_id")),
        "external_task_id": text_of(outcome.get("external_task_id")),
        "created_at": text_of(outcome.get("created_at")),
        "updated_at": text_of(outcome.get("updated_at")),
        "videos": tuple(video for video in videos if isinstance(video, Mapping)) if isinstance(videos, list | tuple) else (),
    }


def with_own_keys(rows: Iterable[RunRow]) -> list[RunRow]:
    """The rows, with keys that no other row has."""
    seen: dict[str, int] = {}
    unique: list[RunRow] = []
    for row in rows:
        seen[row.key] = count = seen.get(row.key, 0) + 1
        unique.append(row if count == 1 else replace(row, key=f"{row.key}-{count}"))
    return unique


def reason_of_row(row: RunRow) -> str | None:
    """Why a row has no video, without what is its own: rows that failed for one reason have the same. None for other rows."""
    if row.state == SUCCEED or row.state not in STATUSES:
        return None
    ids = {"kling_task_id": row.kling_task_id, "external_task_id": row.external_task_id, "images": list(row.images)}
    return reason_of({"id": row.row_id, **ids, "error": row.error or row.message})


def shown_columns(row: RunRow) -> Iterator[tuple[str, str]]:
    """The further columns of the manifest as texts, on one line each."""
    for name, value in row.columns.items():
        yield show_text(name), show_text(value if isinstance(value, str) else str(value))
