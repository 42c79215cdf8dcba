"""A line of the results as the report's template needs it: texts, none of them with a secret in it, and links.

The template's autoescape makes every value harmless.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from hashlib import sha256
from typing import Any

from airflow_provider_kling.api import SUCCEED
from airflow_provider_kling.manifests import IMAGE_COLUMNS, RESULT_COLUMNS, sources_of
from airflow_provider_kling.redaction import harmless, is_link, one_line, show_place, show_url
from airflow_provider_kling.results.report_links import Kind, LinkOf
from airflow_provider_kling.results.statuses import ERROR, STATUSES, kind_of

UNDER_WAY = ("running", "waiting")  # states of rows that have not ended; only a page about a run that still runs has them
STATES = (*STATUSES, *UNDER_WAY)

_KNOWN = frozenset({"id", "effect_scene", *IMAGE_COLUMNS, *RESULT_COLUMNS})
_LONGEST_VALUE = 300  # characters of a further column
_LONGEST_ANCHOR = 80  # characters
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:|[/\\]{2}")


def state_of(line: Mapping[str, Any]) -> str:
    """One of STATES; anything else that a line says is an error."""
    status = line.get("status")
    return status if isinstance(status, str) and status in STATES else ERROR


def shown_kind(line: Mapping[str, Any]) -> str | None:
    """What the error of a line is about; None where nobody knows, and for a row without an error."""
    kind = kind_of(line)
    return None if kind == "unknown" else kind


def anchor_of(key: str) -> str:
    """The anchor of a row, `row-` and its id. What an anchor cannot hold is replaced, and a hash tells such ids apart."""
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", key)[:_LONGEST_ANCHOR].strip("-")
    if safe != key:
        safe = f"{safe}-{sha256(key.encode(errors='replace')).hexdigest()[:8]}".lstrip("-")
    return f"row-{safe}"


def minute(time: datetime | str) -> str:
    """A time to the minute, like `2026-01-01 00:00 UTC`; a text that is no time stays as it is."""
    try:
        known = time if isinstance(time, datetime) else datetime.fromisoformat(time.replace("Z", "+00:00"))
        return f"{known.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
    except (AttributeError, ValueError, OverflowError):
        return str(time)


def without_surrogates(text: str) -> str:
    """The text with a question mark for each half of a surrogate pair: a JSON manifest can hold one, a file cannot."""
    return text.encode(errors="replace").decode()


def cells_of(
    line: Mapping[str, Any], *, link_of: LinkOf, anchor: str, number: int, report: str | None = None, without: str = ""
) -> dict[str, Any]:
    """What the template needs of a line; `number` is that of the line, counted from 1.

    `report` is the link to another report that has the row, and `without` a column that is not shown.
    """
    state, hidden = state_of(line), _KNOWN | {without}
    videos = line.get("videos")
    return {
        "anchor": anchor,
        "number": number,
        "report": report,
        "id": line.get("id"),
        "scene": line.get("effect_scene"),
        "state": state,
        "error": None if state == SUCCEED else line.get("error"),
        "kind": shown_kind(line),
        "refused_image": line.get("refused_image") if state not in (SUCCEED, *UNDER_WAY) else None,
        "message": line.get("message"),
        "units": line.get("units"),
        "kling_task_id": line.get("kling_task_id"),
        "external_task_id": line.get("external_task_id"),
        "updated_at": line.get("updated_at"),
        "columns": [(name, _short(value)) for name, value in line.items() if name not in hidden and value not in (None, "")],
        "images": [_image(source, _link("image", line, index, link_of)) for index, source in enumerate(sources_of(line))],
        "videos": [_video(video, line, index, link_of) for index, video in enumerate(videos or ())],
    }


def _link(kind: Kind, line: Mapping[str, Any], index: int, link_of: LinkOf) -> str | None:
    """A link that is relative or one of the web, whoever made it."""
    link = link_of(kind, line, index)
    return link if link and (is_link(link) or (not _SCHEME.match(link) and harmless(link) == link.strip())) else None


def _image(source: str, link: str | None) -> dict[str, Any]:
    place = show_place(source)
    shown = show_url(source) if source[:5].lower() in ("http:", "https") else place
    return {"link": link, "place": place, "name": posixpath.basename(shown.rstrip("/")) or place}


def _video(video: Mapping[str, Any], line: Mapping[str, Any], index: int, link_of: LinkOf) -> dict[str, Any]:
    file, kling = (_link(kind, line, index, link_of) for kind in ("video", "kling"))
    path = video.get("path")
    return {
        "file": file,
        "kling": kling,
        "source": file or kling,
        "place": show_place(path) if path else None,
        "name": posixpath.basename(str(path)) if path else None,
        "expires_at": video.get("expires_at"),
        "duration": video.get("duration"),
    }


def _short(value: Any) -> str:
    """A column's value on one line and without secrets: `results.jsonl` has it as it is."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = one_line(harmless(text))
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
