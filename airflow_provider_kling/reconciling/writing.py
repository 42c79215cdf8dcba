"""The files of the table: `charges.jsonl`, `charges.csv`, `sums.csv` and `charges.html`, each written whole or not at all.

100,000 lines need no more memory than a few.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.object_paths import location_of, shown, storage_path
from airflow_provider_kling.reconciling.as_csv import csv_lines, sums_csv
from airflow_provider_kling.reconciling.ledger import Ledger
from airflow_provider_kling.reconciling.lines import read_line
from airflow_provider_kling.reconciling.page import render_charges
from airflow_provider_kling.reconciling.states import MEANINGS, WRONG
from airflow_provider_kling.reconciling.sums import Sums
from airflow_provider_kling.results import count_of, to_jsonl
from airflow_provider_kling.storage import read_lines, write_text

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_kling.arguments import Place

TABLE, CSV, SUMS, PAGE = "charges.jsonl", "charges.csv", "sums.csv", "charges.html"

log = logging.getLogger(__name__)


def write_charges(ledger: Ledger, lines: Iterable[Mapping[str, Any]], output: Place, *, conn_ids: Iterable[str]) -> dict[str, Any]:
    """Write the lines of `reconcile` into this folder or URI. Files of an earlier time are replaced.

    Returns a summary: what was reconciled (`start`, `end`, `timezone`, `as_of`, `lateness_hours`, `kling_conn_ids`), the
    number of `charges`, their `units` and `money` (decimal texts, money by currency), `states` (the number of lines in each),
    `several_charges` (tasks with more than one), `units_without_charge`, and the places `table`, `csv`, `sums` and `page`.
    """
    folder = storage_path(output)
    sums = Sums()
    write_text(folder / TABLE, _jsonl(lines, sums))
    facts = facts_of(ledger, conn_ids)
    write_text(folder / CSV, csv_lines(written_lines(folder / TABLE)))
    write_text(folder / SUMS, sums_csv(sums))
    links = [(name, name) for name in (CSV, SUMS, TABLE)]
    write_text(folder / PAGE, render_charges(written_lines(folder / TABLE), facts, links=links))
    log.info("%s: %s. Table: %s", ledger.span.text, sums.text, shown(folder / CSV))
    for state in WRONG:
        if count := sums.counts[state]:
            log.warning("%s: %s.", count_of(count, "line"), MEANINGS[state])
    places = {"table": TABLE, "csv": CSV, "sums": SUMS, "page": PAGE}
    return {**facts, **totals_of(sums), **{key: location_of(folder / name) for key, name in places.items()}}


def facts_of(ledger: Ledger, conn_ids: Iterable[str]) -> dict[str, Any]:
    """What was reconciled, and when."""
    return {
        "start": ledger.span.start.to_iso8601_string(),
        "end": ledger.span.end.to_iso8601_string(),
        "span": ledger.span.text,
        "timezone": ledger.span.timezone,
        "as_of": ledger.as_of.astimezone(timezone.utc).replace(microsecond=0).isoformat().replace("+00:00", "Z"),
        "lateness_hours": round(ledger.lateness / timedelta(hours=1), 2),
        "kling_conn_ids": list(conn_ids),
    }


def totals_of(sums: Sums) -> dict[str, Any]:
    """The totals of all lines."""
    total = sums.total.to_json()
    return {
        "charges": total["charges"],
        "units": total["units"],
        "money": total["money"],
        "states": sums.counts,
        "several_charges": sums.several,
        "units_without_charge": total["units_without_charge"],
    }


def written_lines(path: ObjectStoragePath) -> Iterator[dict[str, Any]]:
    """The lines of a `charges.jsonl`, checked; what is none is left out. Raises KlingInputError where it cannot be read."""
    for text in read_lines(path):
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if (line := read_line(data)) is not None:
            yield line


def _jsonl(lines: Iterable[Mapping[str, Any]], sums: Sums) -> Iterator[str]:
    for line in lines:
        sums.add(line)
        yield f"{to_jsonl(line)}\n"
