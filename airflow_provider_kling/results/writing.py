"""Manifests and results where they lie: rows come as a stream, and results are written as one, so that 100,000 rows
need no more memory than a few.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from airflow_provider_kling.manifests import BadRow, Row, label, parse_rows, resolve_images
from airflow_provider_kling.results.lines import STATUSES, Tally, to_jsonl
from airflow_provider_kling.results.report import render_report
from airflow_provider_kling.storage import at_hand, read_lines, shown, storage_path, write_text

RESULTS, REPORT = "results.jsonl", "report.html"
MOST_SAID = 100  # rows without a video that the log names

log = logging.getLogger(__name__)


@contextlib.contextmanager
def opened(
    manifest: str, *, format: str | None = None, strict: bool = False
) -> Iterator[Callable[[Callable[[str], object] | None], Iterator[Row | BadRow]]]:
    """What reads the rows of a manifest from its beginning, as often as it is called: each time the same ones.

    One in an object store is copied to this machine first. Image paths are resolved. See `manifest.parse_rows`.
    """
    path = storage_path(manifest)
    folder = shown(path.parent)
    with at_hand(path) as local:

        def rows(warn: Callable[[str], object] | None = None) -> Iterator[Row | BadRow]:
            for row in parse_rows(read_lines(local), name=manifest, format=format, strict=strict, warn=warn):
                yield resolve_images(row, folder) if isinstance(row, Row) else row

        yield rows


def write_lines(lines: Iterable[Mapping[str, Any]], output: str, *, title: str, say_problems: bool = True) -> dict[str, Any]:
    """Write the lines of results into `results.jsonl` and `report.html` in this folder or URI; a summary with their paths."""
    folder = storage_path(output)
    results, report = folder / RESULTS, folder / REPORT
    tally = Tally()
    write_text(results, _counted(lines, tally, most_said=MOST_SAID if say_problems else 0))
    summary = tally.summary
    written = (json.loads(line) for line in read_lines(results))
    now = datetime.now(timezone.utc)
    write_text(report, render_report(written, title=title, summary=summary, created_at=now, output=shown(folder)))
    log.info("%s. Results: %s, report: %s", summary.text, shown(results), shown(report))
    return {
        "rows": summary.rows,
        **{status: summary.counts.get(status, 0) for status in STATUSES},
        "units": str(summary.units),
        "videos": summary.videos,
        "results": shown(results),
        "report": shown(report),
    }


def report_title(manifest: str) -> str:
    return f"Kling effects: {label(manifest)}"


def _counted(lines: Iterable[Mapping[str, Any]], tally: Tally, *, most_said: int) -> Iterator[str]:
    said = 0
    for line in lines:
        tally.add(line)
        if line["error"]:
            said += 1
            if said <= most_said:
                log.warning("Row %s, %s: %s", line["id"], line["status"], line["error"])
        yield f"{to_jsonl(line)}\n"
    if said > most_said:
        log.warning("%d %srows have no video; %s says why.", said - most_said, "more " if most_said else "", RESULTS)
