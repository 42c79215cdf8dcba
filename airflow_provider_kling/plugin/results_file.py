"""`results.jsonl` for a download: the lines of results, and nothing else that may lie in a place of that name."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from airflow_provider_kling.plugin.stores import result_lines
from airflow_provider_kling.results import to_jsonl


def raw_lines(places: list[str]) -> Iterator[bytes]:
    """The lines of these files, one after the other. Raises UnreadableError now, for the first place, rather than later."""
    lines = (f"{to_jsonl(line)}\n".encode() for place in places for line in result_lines(place))
    first = next(lines, None)
    return lines if first is None else chain([first], lines)
