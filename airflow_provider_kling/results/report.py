"""The results of a manifest as one HTML page, which loads nothing from elsewhere and works from a disk."""

from __future__ import annotations

import functools
import importlib.resources
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_kling.api import SUCCEED
from airflow_provider_kling.manifests import IMAGE_COLUMNS, RESULT_COLUMNS
from airflow_provider_kling.redaction import is_link
from airflow_provider_kling.results.statuses import ERROR, STATUSES
from airflow_provider_kling.results.summary import Summary

if TYPE_CHECKING:
    from jinja2 import Template

# Videos in a player; a browser cannot hold thousands of them, so the others are links.
MAX_PLAYERS = 200
# Rows on the page: those that did not succeed come before others. `results.jsonl` has every row.
MAX_ROWS = 5000
_KNOWN = frozenset({"id", "effect_scene", *IMAGE_COLUMNS, *RESULT_COLUMNS})
_LONGEST_VALUE = 300  # characters of a further column
_CHUNK = 64  # pieces of the template in one piece of the page


def render_report(
    lines: Iterable[Mapping[str, Any]], *, title: str, summary: Summary, created_at: datetime | None = None, output: str = ""
) -> Iterator[str]:
    """The page piece by piece, so that 100,000 rows need no more memory than one. At most MAX_ROWS rows are on it.

    `lines` are those of `join`. `output` is the folder or URI of the page: a video below it is played from there, by a
    relative path. Any other is a link to its URL at Kling, which works for 30 days.
    """
    stream = _template().stream(
        rows=_rows(_choose(lines, summary), output),
        shown=min(summary.rows, MAX_ROWS),
        title=title,
        summary=summary,
        statuses=[(status, summary.counts[status]) for status in STATUSES if summary.counts.get(status)],
        created_at=created_at,
    )
    stream.enable_buffering(_CHUNK)
    # Half a surrogate pair, which a JSON manifest can hold, cannot be written to a file.
    return (piece.encode(errors="replace").decode() for piece in stream)


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    text = importlib.resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters.update(when=_minute, basename=posixpath.basename)
    return environment.from_string(text)


def _minute(time: datetime | str) -> str:
    """A time to the minute, like `2026-01-01 00:00 UTC`; a text that is no time stays as it is."""
    try:
        known = time if isinstance(time, datetime) else datetime.fromisoformat(time.replace("Z", "+00:00"))
        return f"{known.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
    except (AttributeError, ValueError, OverflowError):
        return str(time)


def _choose(lines: Iterable[Mapping[str, Any]], summary: Summary) -> Iterator[Mapping[str, Any]]:
    """The lines for the page, in their order: those that did not succeed, and the first of the others; MAX_ROWS in all."""
    succeeded = summary.counts.get(SUCCEED, 0)
    left = {True: MAX_ROWS - min(MAX_ROWS, summary.rows - succeeded), False: MAX_ROWS}
    for line in lines:
        has_succeeded = line.get("status") == SUCCEED
        if left[has_succeeded] > 0:
            left[has_succeeded] -= 1
            yield line


def _rows(lines: Iterable[Mapping[str, Any]], output: str) -> Iterator[dict[str, Any]]:
    """What the template needs of each line. Its autoescape makes every value harmless."""
    players = 0
    for line in lines:
        status = line.get("status")
        videos = [_video(video, output) for video in line.get("videos") or ()]
        for video in videos:
            video["player"] = bool(video["file"]) and players < MAX_PLAYERS
            players += video["player"]
        yield {
            "id": line.get("id"),
            "scene": line.get("effect_scene"),
            "status": status if status in STATUSES else ERROR,
            "error": line.get("error"),
            "message": line.get("message"),
            "units": line.get("units"),
            "kling_task_id": line.get("kling_task_id"),
            "external_task_id": line.get("external_task_id"),
            "updated_at": line.get("updated_at"),
            "columns": [(name, _short(value)) for name, value in line.items() if name not in _KNOWN and value not in (None, "")],
            "videos": videos,
        }


def _video(video: Mapping[str, Any], output: str) -> dict[str, Any]:
    path, url = video.get("path"), video.get("url")
    return {
        "file": _relative(path, output),
        "path": path,
        "url": url if is_link(url) else None,
        "expires_at": video.get("expires_at"),
        "duration": video.get("duration"),
    }


def _relative(path: Any, output: str) -> str | None:
    """The link from the page to a file below its folder; None for anything elsewhere.

    Every character but letters, digits and `/` is quoted, so no file name can become a scheme, a query or a host.
    """
    if not isinstance(path, str) or not path:
        return None
    base, inside = _plain(output).rstrip("/") + "/", _plain(path)
    if output and inside.startswith(base):
        inside = inside[len(base) :].lstrip("/")
    elif re.match(r"[A-Za-z][A-Za-z0-9+.\-]*:", inside) or inside.startswith(("/", "\\")):
        return None
    inside = posixpath.normpath(inside)
    return None if inside == ".." or inside.startswith("../") else quote(inside, safe="/", errors="replace")


def _plain(path: str) -> str:
    return path.removeprefix("file://")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
