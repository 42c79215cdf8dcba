"""Results out: what became of each row of a manifest, as plain JSON. Pure: no I/O, no clock, no Airflow."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pendulum

from airflow_provider_kling.api import FAILED, SUCCEED, Task, Video, is_input_fault
from airflow_provider_kling.errors import KlingAnswerError, KlingError, KlingInputError, KlingSettingsError, KlingTaskFailed
from airflow_provider_kling.manifests import RESULT_COLUMNS, BadRow, Row

INVALID, ERROR = "invalid", "error"
# What a line of the results may have as `status`, the best first.
STATUSES = (SUCCEED, FAILED, INVALID, ERROR)
MAX_ERROR = 2000  # characters

_SAME_AGAIN = "Use another image or scene: the same request would fail again."
_TRY_AGAIN = "The same request may work another time."

# What no text for a person may hold: images in base64, and tokens.
_BASE64 = re.compile(r"[A-Za-z0-9+/]{200,}={0,2}")
_TOKEN = re.compile(r"(?i)\bbearer\s+[\w.~+/=-]+")
# Line ends to JavaScript, or to str.splitlines, that JSON leaves as they are.
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x7f\x85\u2028\u2029"}


def result_of(
    task: Task, *, effect_scene: str | None = None, paths: Mapping[Any, str] | Sequence[str | None] = ()
) -> dict[str, Any]:
    """The result of a task that has succeeded, as plain JSON.

    `paths` says where its videos were saved: in their order, or by their place (from 0) or id.
    Keys: `kling_task_id, external_task_id, effect_scene, status, message, videos: [{id, url, watermark_url, duration,
    expires_at, path}], units, created_at, updated_at`; times are ISO 8601 in UTC, `duration` is in seconds, `units` a decimal text.
    Raises KlingTaskFailed for one that failed, KlingAnswerError for one that has not ended, or succeeded without a video.
    """
    if task.failed:
        fault = is_input_fault(task.message)
        raise KlingTaskFailed(task, advice=_SAME_AGAIN if fault else _TRY_AGAIN, input_fault=fault)
    if not task.succeeded:
        known = "which is not its end" if task.known_status else "which this version of the provider does not know"
        raise KlingAnswerError(
            f"Kling task {task.kling_task_id} has the status {task.status[:60]!r}, {known}; wanted is {SUCCEED!r}."
        )
    if not task.videos:
        raise KlingAnswerError(f"Kling task {task.kling_task_id} has succeeded, but its answer holds no video.")
    return _facts(task, effect_scene, paths)


def error_result(
    error: BaseException, *, row_id: str | None, task: Task | None = None, effect_scene: str | None = None
) -> dict[str, Any]:
    """What became of a row that did not work: the keys of a result, `row_id`, and `error`, a text for a person.

    `status` is `failed` for KlingTaskFailed, `invalid` for KlingInputError, `error` for anything else. What is known of
    the task is kept, its videos included: they are paid for.
    """
    task = error.task if task is None and isinstance(error, KlingTaskFailed) else task
    kinds = ((KlingTaskFailed, FAILED), (KlingSettingsError, ERROR), (KlingInputError, INVALID))
    status = next((status for kind, status in kinds if isinstance(error, kind)), ERROR)
    facts = _facts(task, effect_scene, ()) if task else {**dict.fromkeys(RESULT_COLUMNS), "effect_scene": effect_scene}
    return {"row_id": row_id, **facts, "videos": facts["videos"] or None, "status": status, "error": readable(error)}


def readable(error: BaseException) -> str:
    """An error as one line for a person: without images and tokens, at most 2,000 characters."""
    name, text = type(error).__name__, _one_line(str(error))
    if not isinstance(error, KlingError):
        text = f"{name}: {text}" if text else name
    return _cut(text or name)


def join(rows: Iterable[Row | BadRow], outcomes: Iterable[Mapping[str, Any] | None]) -> Iterator[dict[str, Any]]:
    """One line of the results for each row of a manifest, in its order: what `results.jsonl` holds.

    An outcome is what `result_of` or `error_result` gave, with `row_id`; None (a task that left nothing) is passed over.
    A line has `id`, the row's own columns, then the keys of a result, None where unknown, with `status` one of `succeed`,
    `failed`, `invalid`, `error`, and `error`, None only for `succeed`. Of several outcomes for a row the best counts.
    Raises KlingInputError for an outcome without `row_id`.
    """
    best: dict[str, Mapping[str, Any]] = {}
    for outcome in outcomes:
        if outcome is not None:
            _keep_best(best, outcome)
    yield from lines_of(rows, lambda row: best.get(row.id))


def lines_of(rows: Iterable[Row | BadRow], outcome_of: Callable[[Row], Mapping[str, Any] | None]) -> Iterator[dict[str, Any]]:
    """The lines of `join`, where each good row's outcome is looked up when it is its turn."""
    for row in rows:
        if isinstance(row, BadRow):
            yield _line(row, {"status": INVALID, "error": _cut(_one_line(row.text))})
        else:
            yield _line(row, _settled(outcome_of(row)))


def to_jsonl(line: Mapping[str, Any]) -> str:
    """One line of JSON, without its line end; nothing in it is a line end to any reader, and all of it is UTF-8."""
    text = json.dumps(line, ensure_ascii=False, default=str).translate(_LINE_ENDS)
    return text if _is_utf8(text) else json.dumps(line, default=str)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Results counted: by status, and what they cost (`units`) and brought (`videos`)."""

    counts: Mapping[str, int] = field(default_factory=dict)
    units: Decimal = Decimal(0)
    videos: int = 0

    @property
    def rows(self) -> int:
        return sum(self.counts.values())

    @property
    def text(self) -> str:
        """One line, like `15 rows: 14 succeed, 1 invalid; 35 units, 14 videos`."""
        by_status = ", ".join(f"{self.counts[status]:,} {status}" for status in STATUSES if self.counts.get(status))
        head = _counted(self.rows, "row") + (f": {by_status}" if by_status else "")
        return f"{head}; {_plain(self.units)} {'unit' if self.units == 1 else 'units'}, {_counted(self.videos, 'video')}"


def summarize(lines: Iterable[Mapping[str, Any]]) -> Summary:
    """The lines of `join`, counted. A status that none of them has counts as an error."""
    tally = Tally()
    for line in lines:
        tally.add(line)
    return tally.summary


class Tally:
    """Counts lines one after the other."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._units, self._videos = Decimal(0), 0

    def add(self, line: Mapping[str, Any]) -> None:
        status = line.get("status")
        self._counts[status if status in STATUSES else ERROR] += 1
        self._units += _decimal(line.get("units"))
        self._videos += len(line.get("videos") or ())

    @property
    def summary(self) -> Summary:
        return Summary(counts=dict(self._counts), units=self._units, videos=self._videos)


# --- The facts of a task ---------------------------------------------------------------------------------------


def _facts(task: Task, effect_scene: str | None, paths: Mapping[Any, str] | Sequence[str | None]) -> dict[str, Any]:
    expires_at = _iso(task.links_expire_at)
    return {
        "kling_task_id": task.kling_task_id,
        "external_task_id": task.external_task_id,
        "effect_scene": effect_scene,
        "status": task.status,
        "message": _cut(_one_line(task.message)),
        "videos": [_video(video, expires_at, _path(paths, place, video)) for place, video in enumerate(task.videos)],
        "units": task.units,
        "created_at": _iso(task.created_at),
        "updated_at": _iso(task.updated_at),
    }


def _video(video: Video, expires_at: str | None, path: str | None) -> dict[str, Any]:
    return {
        "id": video.id,
        "url": video.url,
        "watermark_url": video.watermark_url,
        "duration": video.duration,
        "expires_at": expires_at,
        "path": path,
    }


def _path(paths: Mapping[Any, str] | Sequence[str | None], place: int, video: Video) -> str | None:
    if isinstance(paths, Mapping):
        return next((str(paths[key]) for key in (place, str(place), video.id) if key is not None and key in paths), None)
    path = paths[place] if place < len(paths) else None
    return None if path is None else str(path)


def _iso(time: datetime | None) -> str | None:
    return None if time is None else pendulum.instance(time).in_timezone("UTC").to_iso8601_string()


# --- Lines of a manifest's results -----------------------------------------------------------------------------


def _keep_best(best: dict[str, Mapping[str, Any]], outcome: Mapping[str, Any]) -> None:
    row_id = outcome.get("row_id")
    if row_id is None:
        raise KlingInputError(f"An outcome has no row_id; it holds {', '.join(sorted(map(str, outcome)))[:200] or 'nothing'}.")
    known = best.get(str(row_id))
    if known is None:
        best[str(row_id)] = outcome
        return
    better, worse = (outcome, known) if _rank(outcome) <= _rank(known) else (known, outcome)
    ids = {key: better.get(key) or worse.get(key) for key in ("kling_task_id", "external_task_id") if worse.get(key)}
    best[str(row_id)] = {**better, **ids}


def _rank(outcome: Mapping[str, Any]) -> tuple[int, bool]:
    """The lower, the better: by status, then whether it knows its task."""
    status = outcome.get("status")
    return STATUSES.index(status) if status in STATUSES else len(STATUSES), not outcome.get("kling_task_id")


def _settled(outcome: Mapping[str, Any] | None) -> dict[str, Any]:
    """An outcome with a status and an error that can be relied on."""
    if outcome is None:
        return {
            "status": ERROR,
            "error": "Nothing is known of this row: its task did not run, or ended before it left a result. Run it again.",
        }
    facts = dict(outcome)
    status, error = facts.get("status"), facts.get("error")
    text = _cut(_one_line(str(error))) if error else ""
    if status == SUCCEED:
        if facts.get("videos"):
            return {**facts, "error": None}
        status, text = ERROR, text or "Its outcome says succeed, but holds no video."
    elif status == FAILED:
        text = text or f"The Kling task failed: {_one_line(str(facts.get('message') or 'no reason was given'))}."
    elif status not in STATUSES:
        unended = (
            f"Its outcome has the status {str(status)[:60]!r}, which is no end."
            if status
            else "Its end was not awaited, or left no word."
        )
        text = text or unended
        status = ERROR
    return {**facts, "status": status, "error": _with_task(status, text or "No reason was given.", facts)}


def _with_task(status: str, text: str, facts: Mapping[str, Any]) -> str:
    task = facts.get("kling_task_id")
    if status == ERROR and task and not facts.get("videos") and str(task) not in text:
        return f"{text} Its task still is at Kling, under the id {task}."
    return text


def _line(row: Row | BadRow, facts: Mapping[str, Any]) -> dict[str, Any]:
    results = {name: facts.get(name) for name in RESULT_COLUMNS}
    scene = {} if "effect_scene" in row.columns else {"effect_scene": getattr(row, "effect_scene", None)}
    return {"id": row.id, **row.columns, **scene, **results}


# --- Texts -----------------------------------------------------------------------------------------------------


def _one_line(text: str) -> str:
    """Without line ends, images and tokens."""
    text = " ".join(text[: 10 * MAX_ERROR].split())
    return _TOKEN.sub("Bearer …", _BASE64.sub(lambda found: f"[{len(found[0]):,} characters of base64]", text))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_ERROR else f"{text[: MAX_ERROR - 1]}…"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _decimal(value: Any) -> Decimal:
    try:
        number = Decimal(str(value)) if value is not None else Decimal(0)
    except InvalidOperation:
        return Decimal(0)
    return number if number.is_finite() and abs(number.adjusted()) < 30 else Decimal(0)


def _plain(number: Decimal) -> str:
    """`35`, not `35.0` or `3.5E+1`; `35,000`, as counts are written."""
    return f"{number.normalize():,f}"
