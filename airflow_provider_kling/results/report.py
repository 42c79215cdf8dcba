"""The results of a manifest as one HTML page, which works from a disk and from a bucket.

It loads nothing but the images and videos of the results. Its only script is its own, which the page's policy names by hash.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_kling.api import SUCCEED
from airflow_provider_kling.results.report_groups import OTHERS, RUN, Group, Groups
from airflow_provider_kling.results.report_links import LinkOf, relative_links
from airflow_provider_kling.results.report_rows import STATES, anchor_of, cells_of, minute, state_of, without_surrogates
from airflow_provider_kling.results.statuses import word_of
from airflow_provider_kling.results.summary import Summary, describe_kinds

if TYPE_CHECKING:
    from jinja2 import Template

# Rows on the page: those that did not succeed come before others. `results.jsonl` has every row.
MAX_ROWS = 5000
MOST_CARDS = 60  # rows; a page with more begins as a table


def render_report(
    lines: Iterable[Mapping[str, Any]],
    *,
    title: str,
    summary: Summary,
    created_at: datetime | None = None,
    output: str = "",
    image_folder: str = "",
    about: Sequence[tuple[str, str]] = (),
    by_run: bool = False,
    results_link: str | None = None,
    link_of: LinkOf | None = None,
) -> Iterator[str]:
    """The page piece by piece, so that 100,000 rows need no more memory than a few. At most MAX_ROWS rows are on it.

    - `lines`: those of `join`; also of rows that have not ended, with `running` or `waiting` as `status`.
    - `summary`: counts all lines.
    - `output`: the folder or URI of the page, from which it links to videos and images by relative paths.
    - `image_folder`: that of the manifest, where relative paths of images start.
    - `about`: what the page says of itself below the title: names and values, such as `("run", run_id)`.
    - `by_run`: the rows are grouped by their column `run`, the name of a folder with a report of its own; otherwise equal
      errors are one group.
    - `results_link`: leads to `results.jsonl`.
    - `link_of`: makes the links to images and videos, in the place of relative paths.
    """
    link_of = link_of or relative_links(output, image_folder)
    groups = Groups(limit=MAX_ROWS, rows=summary.rows, succeeded=summary.counts.get(SUCCEED, 0), by_run=by_run)
    template: Any = _template().module
    try:
        _render_rows(lines, groups, template, link_of=link_of, by_run=by_run)
        facts = {"title": title, "created_at": created_at, "by_run": by_run, "results_link": results_link}
        yield without_surrogates(template.head(**facts, **_totals(summary, groups), **_assets(), about=[a for a in about if a[1]]))
        for group in groups.in_order:
            yield without_surrogates(template.group_head(group=group, **_facts_of(group, by_run=by_run)))
            yield from groups.html_of(group)
            yield template.group_foot()
        yield template.foot()
    finally:
        groups.close()


def report_policy() -> str:
    """The Content-Security-Policy of the page: it runs its own script and has its own style; images and videos may be anywhere."""
    assets = _assets()
    return str(assets["policy"])


def page_style() -> str:
    """The style of the page, for other pages that are to look like it."""
    return _text("report.css")


def _render_rows(lines: Iterable[Mapping[str, Any]], groups: Groups, template: Any, *, link_of: LinkOf, by_run: bool) -> None:
    """Sort all lines into their groups, and render those that the page has room for."""
    anchors: set[str] = set()
    for number, line in enumerate(lines, 1):
        if group := groups.place(line):
            own = anchor_of(str(line.get("id")))
            anchor = _unique(anchor_of(f"{group.key}/{line.get('id')}") if by_run else own, anchors)
            report = f"{link}#{own}" if by_run and (link := _report_of(group)) else None
            without = RUN if by_run else ""
            row = cells_of(line, link_of=link_of, anchor=anchor, number=number, report=report, without=without)
            groups.put(group, without_surrogates(template.row(row=row)), number=number, succeeded=state_of(line) == SUCCEED)


def _unique(anchor: str, taken: set[str]) -> str:
    """The anchor, numbered where another row of the page has it."""
    found, number = anchor, 1
    while found in taken:
        number += 1
        found = f"{anchor}.{number}"
    taken.add(found)
    return found


def _totals(summary: Summary, groups: Groups) -> dict[str, Any]:
    """What the head of the page shows of all rows, and how it shows them at first."""
    states = [(state, summary.counts[state]) for state in STATES if summary.counts.get(state)]
    return {"summary": summary, "states": states, "shown": groups.shown, "as_table": groups.shown > MOST_CARDS}


def _facts_of(group: Group, *, by_run: bool) -> dict[str, Any]:
    """What the head of a group shows."""
    return {
        "summary": group.tally.summary if by_run else None,
        "link": _report_of(group) if by_run else None,
        "hidden": group.rows - len(group.kept),
    }


def _report_of(run: Group) -> str | None:
    """The link to the report in the folder of a run."""
    return None if run.key in (OTHERS, ".", "..") else f"{quote(run.key, safe='', errors='replace')}/report.html"


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters.update(when=minute, word=word_of, kinds=describe_kinds)
    return environment.from_string(_text("report.html.j2"))


@functools.cache
def _assets() -> Mapping[str, Any]:
    """The style and the script of the page, and the policy that permits these two alone."""
    from markupsafe import Markup

    style, script = _text("report.css"), _text("report.js")
    rules = {
        "default-src": "'none'",
        "script-src": _hash_of(script),
        "style-src": _hash_of(style),
        "img-src": "'self' file: http: https:",
        "media-src": "'self' file: http: https:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    policy = "; ".join(f"{name} {value}" for name, value in rules.items())
    return {"style": Markup(style), "script": Markup(script), "policy": policy}  # noqa: S704 - files of this package


def _hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _text(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
