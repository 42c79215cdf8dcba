"""The files of the results, `results.jsonl`, `report.html` and `unfinished.jsonl`, written as a stream.

100,000 rows need no more memory than a few.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.arguments import place_text
from airflow_provider_kling.object_paths import as_stored, folder_of, location_of, shown, storage_path
from airflow_provider_kling.prices import PriceLearner
from airflow_provider_kling.redaction import is_inline, show_place
from airflow_provider_kling.results.lines import to_jsonl
from airflow_provider_kling.results.origin import this_run, write_origin
from airflow_provider_kling.results.report import render_report
from airflow_provider_kling.results.statuses import STATUSES
from airflow_provider_kling.results.summary import Tally, describe_kinds
from airflow_provider_kling.results.unfinished import Unfinished
from airflow_provider_kling.storage import read_lines, write_text

RESULTS, REPORT = "results.jsonl", "report.html"
MAX_LOGGED = 100  # rows without a video that the log names

if TYPE_CHECKING:
    from airflow_provider_kling.arguments import Place

log = logging.getLogger(__name__)


def write_lines(
    lines: Iterable[Mapping[str, Any]],
    output: Place,
    *,
    title: str,
    manifest: Place | None = None,
    by_run: bool = False,
    log_problems: bool = True,
    learn_prices: bool = True,
) -> dict[str, Any]:
    """Write the lines of `join` as `results.jsonl` and `report.html` into this folder or URI.

    Returns a summary: `rows`, the number of rows for each status, `error_kinds` (the numbers of rows without a video by what
    their errors are about), `units` (a decimal text), `videos` (their number), and the locations `results`, `report` and
    `unfinished`: a manifest of the rows without a video; None where none are left, or their manifest is not known. The report
    shows the images whose paths count from the folder of `manifest`. With `by_run`, it groups the rows by their column
    `run`. With `log_problems`, the first 100 rows without a video are logged as warnings. With `learn_prices`, what the rows
    were charged goes into the price book.
    """
    folder = storage_path(output)
    results, report = folder / RESULTS, folder / REPORT
    tally = Tally()
    prices = PriceLearner()
    origin = _origin(manifest, of_one_run=not by_run)
    with Unfinished(origin.get("image_folder", "")) as left:
        write_text(
            results,
            _jsonl(prices.watch(lines) if learn_prices else lines, tally, left, max_logged=MAX_LOGGED if log_problems else 0),
        )
        unfinished = left.write(folder)
    summary = tally.summary
    written = (json.loads(line) for line in read_lines(results))
    now = datetime.now(timezone.utc)
    page = render_report(
        written,
        title=title,
        summary=summary,
        created_at=now,
        output=location_of(folder),
        by_run=by_run,
        results_link=RESULTS,
        **origin,
    )
    write_text(report, page)
    prices.learn(location_of(folder))
    if not by_run:
        write_origin(folder)
    about = f" Without a video: {describe_kinds(summary.kinds)}." if summary.kinds else ""
    log.info("%s.%s Results: %s, report: %s", summary.text, about, shown(results), shown(report))
    return {
        "rows": summary.rows,
        **{status: summary.counts.get(status, 0) for status in STATUSES},
        "error_kinds": dict(summary.kinds),
        "units": str(summary.units),
        "videos": summary.videos,
        "results": location_of(results),
        "report": location_of(report),
        "unfinished": unfinished,
    }


def report_title(manifest: str) -> str:
    """The title of the report about a manifest, by its path or URI: the name of its file, with that of its folder if many
    manifests have that name.
    """
    place = show_place(manifest)
    folder, _, name = (place if is_inline(manifest) else re.split(r"[?#]", place)[0].rstrip("/")).rpartition("/")
    parent = folder.rpartition("/")[2]
    return f"{parent}/{name}" if parent and name.partition(".")[0] == "manifest" and parent != "…" else name or place


def _origin(manifest: Place | None, *, of_one_run: bool) -> dict[str, Any]:
    """Where the rows of a report come from: what it says of that, and the folder that relative paths of images count from."""
    about = list(zip(("DAG", "run"), this_run() or (), strict=False)) if of_one_run else []
    if not manifest:
        return {"about": about}
    folder = folder_of(as_stored(storage_path(manifest)))
    return {"about": [*about, ("manifest", show_place(place_text(manifest)))], "image_folder": folder}


def _jsonl(lines: Iterable[Mapping[str, Any]], tally: Tally, left: Unfinished, *, max_logged: int) -> Iterator[str]:
    """The lines as JSON, counted in `tally` on the way; `left` keeps those without a video."""
    problems = 0
    for line in lines:
        tally.add(line)
        left.add(line)
        if line["error"]:
            problems += 1
            if problems <= max_logged:
                log.warning("Row %s, %s: %s", line["id"], line["status"], line["error"])
        yield f"{to_jsonl(line)}\n"
    if problems > max_logged:
        log.warning("%d %srows have no video; %s says why.", problems - max_logged, "more " if max_logged else "", RESULTS)
