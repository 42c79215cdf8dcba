"""Why rows have no video: errors that are equal but for the ids, names and numbers of their rows are one reason. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_kling.manifests import sources_of
from airflow_provider_kling.redaction import show_place, show_url

GAP = "…"  # stands for what differs from row to row
_LONGEST = 400  # characters
_SHORTEST_OWN = 2  # characters of an id that is looked for anywhere in the text

_VARYING = (
    (re.compile(r"\bid '(?:[^'\\]|\\.)*'|\bid \"[^\"]*\""), f"id {GAP}"),
    (re.compile(r"\b([Ll]ine|[Rr]ow|[Ss]hard) \d+(?:,\d{3})*(?:/\d+)?"), rf"\1 {GAP}"),
    (re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: ?UTC|Z|[+-]\d\d:?\d\d)?)?"), GAP),
    (re.compile(r"\b[\d,]+ ?[×x] ?[\d,]+\b"), f"{GAP} × {GAP}"),
    (re.compile(r"\b(?=[0-9a-f-]*\d)[0-9a-f]{8,}(?:-?[0-9a-f]{4,})*\b"), GAP),
    (re.compile(r"\b\d{1,3}(?:,\d{3})+\b|\d{5,}"), GAP),  # codes of Kling's errors have four digits, and tell reasons apart
)
_PLACE = re.compile(rf"^[Ll]ine {GAP}, (?:id|row) {GAP}: ")


def reason_of(line: Mapping[str, Any]) -> str:
    """The error of a line of the results, with `…` for what belongs to its row alone; an empty text where it has none."""
    text = str(line.get("error") or "")[: 4 * _LONGEST]
    for own in sorted(set(_own(line)), key=len, reverse=True):
        if own in text:
            text = re.sub(rf"(?<![\w-])(?:[^\s'\"(]*/)?{re.escape(own)}(?![\w-])", GAP, text)
    for pattern, general in _VARYING:
        text = pattern.sub(general, text)
    text = _PLACE.sub("", text).removeprefix(f"{GAP}: ")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}{GAP}"


def _own(line: Mapping[str, Any]) -> Iterator[str]:
    """What may stand in the error of this row, and in no other."""
    row_id = str(line.get("id") or "")
    if len(row_id) >= _SHORTEST_OWN and not row_id.isdigit():
        yield row_id
    for name in ("kling_task_id", "external_task_id"):
        if line.get(name):
            yield str(line[name])
    for source in sources_of(line):
        yield from filter(None, (show_place(source), show_url(source), source.rstrip("/").rpartition("/")[2]))
