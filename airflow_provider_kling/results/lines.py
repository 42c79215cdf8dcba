"""The lines of `results.jsonl`: one for each row of a manifest, from what is known of the rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_kling.api import FAILED, SUCCEED
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.manifests import RESULT_COLUMNS, BadRow, Row
from airflow_provider_kling.redaction import one_line, show_text
from airflow_provider_kling.results.statuses import ERROR, INVALID, STATUSES, kind_of

_IDS = ("row_id", "kling_task_id", "external_task_id")
# Line ends to JavaScript, or to str.splitlines, that JSON leaves as they are.
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x7f\x85\u2028\u2029"}


class RowLine(dict[str, Any]):
    """The line of a manifest's row, which knows the row: its scene, and the sources of its images where these are clear.

    `external_id` is that of its submission, where a task may exist that nobody has seen.
    """

    scene: str = ""
    images: tuple[str, ...] = ()
    external_id: str | None = None


def with_row(line: Mapping[str, Any], row: Row | BadRow) -> RowLine:
    """The line, which is that of this row."""
    known = RowLine(line)
    known.scene, known.images = getattr(row, "effect_scene", ""), row.images
    return known


def join(rows: Iterable[Row | BadRow], outcomes: Iterable[Mapping[str, Any] | None]) -> Iterator[dict[str, Any]]:
    """One line of the results for each row of a manifest, in the order of the rows.

    An outcome is what `result_of` or `error_result` returned, with `row_id`; None (a task that left nothing) is skipped.
    A line has `id`, the row's own columns, then the keys of a result, None where unknown, with `status` one of `succeed`,
    `failed`, `invalid`, `capped`, `error`, and `error` and `error_kind`, None only for `succeed`. Of several outcomes for a row the
    best counts.
    Raises KlingInputError for an outcome without `row_id`.
    """
    best: dict[str, Mapping[str, Any]] = {}
    for outcome in outcomes:
        if outcome is not None:
            _keep_best(best, outcome)
    yield from lines_of(rows, lambda row: best.get(row.id))


def lines_of(rows: Iterable[Row | BadRow], outcome_of: Callable[[Row], Mapping[str, Any] | None]) -> Iterator[dict[str, Any]]:
    """The lines of `join`, with the outcome of each good row looked up when the row is read. None: nothing is known of it."""
    for row in rows:
        if isinstance(row, BadRow):
            yield _line(row, {"status": INVALID, "error": show_text(row.text), "error_kind": row.kind})
        else:
            yield _line(row, _final(outcome_of(row)))


def merge(outcomes: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One outcome for each row, of several the best one, in the order in which the rows were first met.

    Outcomes belong to one row if they have the same `row_id` or, where one of them has none, the same `kling_task_id`.
    """
    merged: list[dict[str, Any]] = []
    places: dict[tuple[str, str], int] = {}
    for outcome in outcomes:
        keys = [(name, str(outcome[name])) for name in ("row_id", "kling_task_id") if outcome.get(name) is not None]
        place = next((places[key] for key in keys if key in places and _may_be_one(merged[places[key]], outcome)), len(merged))
        if place == len(merged):
            merged.append(dict(outcome))
        else:
            merged[place] = _better(merged[place], outcome)
        for key in keys:
            places.setdefault(key, place)
    return merged


def lines_without_rows(outcomes: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The lines of `join` where there is no manifest: one for each outcome, with its row id or that of its task as `id`."""
    for outcome in outcomes:
        facts = _final(outcome)
        row_id = outcome.get("row_id") or outcome.get("kling_task_id")
        results = {name: facts.get(name) for name in RESULT_COLUMNS}
        yield {"id": None if row_id is None else str(row_id), "effect_scene": facts.get("effect_scene"), **results}


def to_jsonl(line: Mapping[str, Any]) -> str:
    """The line as JSON, without its line end. No reader finds a line end within it, and all of it is UTF-8."""
    text = json.dumps(line, ensure_ascii=False, default=str).translate(_LINE_ENDS)
    return text if _is_utf8(text) else json.dumps(line, default=str)


def _keep_best(best: dict[str, Mapping[str, Any]], outcome: Mapping[str, Any]) -> None:
    """Add an outcome to the best ones by row id. The better of two keeps the task's ids that only the worse one has."""
    row_id = outcome.get("row_id")
    if row_id is None:
        raise KlingInputError(f"An outcome has no row_id; it holds {', '.join(sorted(map(str, outcome)))[:200] or 'nothing'}.")
    known = best.get(str(row_id))
    best[str(row_id)] = outcome if known is None else _better(known, outcome)


def _better(known: Mapping[str, Any], outcome: Mapping[str, Any]) -> dict[str, Any]:
    """The better of two outcomes of a row, with those ids that only the worse one has."""
    better, worse = (outcome, known) if _rank(outcome) <= _rank(known) else (known, outcome)
    ids = {key: better.get(key) or worse.get(key) for key in _IDS if worse.get(key)}
    return {**better, **ids}


def _may_be_one(known: Mapping[str, Any], outcome: Mapping[str, Any]) -> bool:
    """Whether two outcomes with the same task may be those of one row: two rows with one external id share a task."""
    ids = {str(one["row_id"]) for one in (known, outcome) if one.get("row_id") is not None}
    return len(ids) < 2


def _rank(outcome: Mapping[str, Any]) -> tuple[int, bool]:
    """The lower, the better: by status, then by whether it knows its task."""
    status = outcome.get("status")
    return STATUSES.index(status) if status in STATUSES else len(STATUSES), not outcome.get("kling_task_id")


def _final(outcome: Mapping[str, Any] | None) -> dict[str, Any]:
    """The outcome with one of the five statuses, and with an error unless it succeeded with a video."""
    if outcome is None:
        return {
            "status": ERROR,
            "error": "Nothing is known of this row: its task did not run, or ended before it left a result. Run it again.",
            "error_kind": "unknown",
        }
    facts = dict(outcome)
    status, error = facts.get("status"), facts.get("error")
    text = show_text(str(error)) if error else ""
    if status == SUCCEED:
        if facts.get("videos"):
            return {**facts, "error": None, "error_kind": None, "refused_image": None}
        status, text = ERROR, text or "Its outcome says succeed, but holds no video."
    elif status == FAILED:
        text = text or f"The Kling task failed: {one_line(str(facts.get('message') or 'no reason was given'))}."
    elif status not in STATUSES:
        text = text or _not_done(status)
        status = ERROR
    text = _with_task_id(status, text or "No reason was given.", facts)
    return {**facts, "status": status, "error": text, "error_kind": kind_of({**facts, "status": status})}


def _not_done(status: Any) -> str:
    if status:
        return f"Its outcome has the status {str(status)[:60]!r}, which is no end."
    return "Its end was not awaited, or was not recorded."


def _with_task_id(status: str, text: str, facts: Mapping[str, Any]) -> str:
    """An error's text, with the id of a task that may still run, unless the text has it."""
    task = facts.get("kling_task_id")
    if status == ERROR and task and not facts.get("videos") and str(task) not in text:
        return f"{text} Its task still is at Kling, under the id {task}."
    return text


def _line(row: Row | BadRow, facts: Mapping[str, Any]) -> RowLine:
    results = {name: facts.get(name) for name in RESULT_COLUMNS}
    scene = {} if "effect_scene" in row.columns else {"effect_scene": getattr(row, "effect_scene", None)}
    line = with_row({"id": row.id, **row.columns, **scene, **results}, row)
    line.external_id = facts.get("external_id")
    return line


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
