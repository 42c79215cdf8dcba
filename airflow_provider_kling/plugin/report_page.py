"""The report of a run, rendered anew from what is known of its rows: its videos and images come through this server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_kling import results
from airflow_provider_kling.plugin import answers
from airflow_provider_kling.plugin.run_row import RunRow
from airflow_provider_kling.plugin.selection import Selection
from airflow_provider_kling.plugin.views import RunView
from airflow_provider_kling.redaction import is_link


def policy() -> str:
    """The Content-Security-Policy of the page: the report's own, in Airflow's frame alone."""
    return f"{results.report_policy()}; frame-ancestors 'self'"


def report(view: RunView, rows: list[RunRow]) -> Iterator[str]:
    """The page piece by piece. Links in it are relative to its own address."""
    by_key = {row.key: row for row in rows}
    summary = _summary(view, rows)
    return results.render_report(
        map(_line, rows),
        title=view.run.dag_id,
        summary=summary,
        created_at=view.as_of,
        about=[("run", view.run.run_id)],
        results_link=_relative(answers.api_url(view, "results")) if view.results else "",
        link_of=lambda kind, line, index: _link(view, by_key[_key_of(line)], kind, index),
    )


def _summary(view: RunView, rows: list[RunRow]) -> results.Summary:
    """The counts of the run, or of those of its rows that are on the page."""
    if rows is view.rows:
        kinds = {} if view.more else _kinds_of(rows)  # rows that are not here have kinds, too
        return results.Summary(counts=dict(view.counts), kinds=kinds, units=view.units, videos=view.videos)
    part = Selection()
    for row in rows:
        part.add(row)
    return results.Summary(counts=part.count_by(), kinds=_kinds_of(rows), units=part.units, videos=part.videos)


def _kinds_of(rows: Iterable[RunRow]) -> dict[str, int]:
    """How many rows without a video there are of each kind of error, most first."""
    kinds = Counter(kind for row in rows if (kind := results.kind_of({"status": row.state, "error_kind": row.error_kind})))
    return dict(sorted(kinds.items(), key=lambda entry: (-entry[1], entry[0])))


class _Line(dict[str, Any]):
    """A line of the report, which knows its row."""

    key = ""


def _line(row: RunRow) -> Mapping[str, Any]:
    line = _Line(
        {
            "id": row.row_id or row.kling_task_id or f"{row.task_id} {row.map_index if row.map_index >= 0 else ''}".strip(),
            "effect_scene": row.effect_scene,
            "images": list(row.images),
            **{name: value for name, value in row.columns.items() if name not in ("id", "images", "run")},
            "status": row.state,
            "error": row.error,
            "error_kind": row.error_kind,
            "refused_image": row.refused_image,
            "message": row.message,
            "units": row.units,
            "kling_task_id": row.kling_task_id,
            "external_task_id": row.external_task_id,
            "updated_at": row.updated_at,
            "videos": list(row.videos),
        }
    )
    line.key = row.key
    return line


def _key_of(line: Mapping[str, Any]) -> str:
    return line.key if isinstance(line, _Line) else ""


def _link(view: RunView, row: RunRow, kind: str, index: int) -> str | None:
    if kind == "image":
        found = answers.image_url(view, row, index) if index < len(row.images) else None
    else:
        found = (answers.video_url if kind == "video" else answers.link_url)(view, row, index)
    return found if found is None or is_link(found) else _relative(found)


def _relative(url: str) -> str:
    """An address relative to `/kling/` as one relative to the report's own."""
    return url.rpartition("/")[2]
