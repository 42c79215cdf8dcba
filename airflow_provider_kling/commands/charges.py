"""The command `charges`: what Kling has charged, compared with results."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TextIO

from airflow_provider_kling.arguments import conn_ids
from airflow_provider_kling.commands.output import write_table
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.redaction import harmless

if TYPE_CHECKING:
    from airflow_provider_kling.reconciling import Ledger, Sum, Sums

NAME = "charges"
SUMMARY = "Reads what Kling has charged, and compares it with results."
MOST_LINES = 50  # of what does not fit, in the tables for people
TITLES = {"state": "state", "dag": "DAG", "scene": "scene", "day": "day", "key": "key", "connection": "connection"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--start", required=True, help="the first day, like 2026-11-01, or a time; tasks created from then on")
    parser.add_argument("--end", help="the last day, or the time before which tasks were created (default: the day of the start)")
    parser.add_argument("--timezone", default="UTC", help="the time zone of days and times without one (default: UTC)")
    parser.add_argument(
        *("--conn-id", "--kling-conn-id"),
        action="append",
        metavar="ID",
        help="an Airflow connection (default: kling_default); several: repeat it, or separate them by commas",
    )
    parser.add_argument(
        "--results",
        action="append",
        default=[],
        metavar="PLACE",
        help="path or URI of a results.jsonl, or of a folder with results in it or below it; may be repeated. Without, charges are "
        "listed and summed, but not compared",
    )
    parser.add_argument(
        "--lateness",
        type=float,
        default=12.0,
        metavar="HOURS",
        help="how long after a task's end its charge may show (default: 12)",
    )
    parser.add_argument("--output", metavar="FOLDER", help="write charges.csv, charges.jsonl, sums.csv and charges.html there, too")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, with every line, instead of tables")
    form.add_argument("--csv", action="store_true", help="print every line as CSV instead of tables")
    parser.epilog = "Times and days are in UTC, unless --timezone says otherwise; times in lines are always in UTC."


def run(arguments: argparse.Namespace) -> int:
    out = sys.stdout
    # Airflow logs to the stdout that it finds when it is imported, and that of this command is for the charges alone.
    with contextlib.redirect_stdout(sys.stderr):
        _run(arguments, out)
    return 0


def _run(arguments: argparse.Namespace, out: TextIO) -> None:
    from airflow_provider_kling.reconciling import check_sources, reconcile, span_of

    if not 0 <= arguments.lateness <= 24 * 365:
        raise KlingInputError(f"--lateness is {arguments.lateness}; wanted is a number of hours.")
    span = span_of(arguments.start, arguments.end, arguments.timezone)
    accounts = conn_ids(",".join(arguments.conn_id or ["kling_default"]))
    lateness, sources = timedelta(hours=arguments.lateness), check_sources(arguments.results)
    with reconcile(span, conn_ids=accounts, sources=sources, lateness=lateness, log=_say) as (ledger, lines):
        if arguments.output:
            lines = _written(ledger, lines, arguments.output, accounts)
        with contextlib.redirect_stdout(out):
            if arguments.csv:
                _print_csv(lines)
            elif arguments.json:
                _print_json(ledger, lines, accounts)
            else:
                _print_tables(ledger, lines)


def _say(text: str) -> None:
    sys.stderr.write(f"{harmless(text)}\n")


def _written(ledger: Ledger, lines: Iterator[dict[str, Any]], output: str, accounts: list[str]) -> Iterator[dict[str, Any]]:
    """Write the files. Returns the lines once more, from what was written."""
    from airflow_provider_kling.object_paths import storage_path
    from airflow_provider_kling.reconciling import write_charges, written_lines
    from airflow_provider_kling.writable import check_writable

    check_writable(output, "output")
    summary = write_charges(ledger, lines, output, conn_ids=accounts)
    _say(f"Written: {summary['page']}, {summary['csv']}, {summary['table']}, {summary['sums']}")
    return written_lines(storage_path(summary["table"]))


def _print_csv(lines: Iterator[dict[str, Any]]) -> None:
    from airflow_provider_kling.reconciling import csv_lines

    for text in csv_lines(lines):
        sys.stdout.write(text)


def _print_json(ledger: Ledger, lines: Iterator[dict[str, Any]], accounts: list[str]) -> None:
    """One object. Its lines come first, because its sums are known at their end."""
    from airflow_provider_kling.reconciling import Sums, facts_of, totals_of

    sums = Sums()
    sys.stdout.write('{\n"lines": [')
    for number, line in enumerate(lines):
        sums.add(line)
        sys.stdout.write(f"{',' if number else ''}\n{json.dumps(line, ensure_ascii=False)}")
    facts = {**facts_of(ledger, accounts), **totals_of(sums), "sums": sums.to_json()}
    rest = ",\n".join(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in facts.items())
    sys.stdout.write(f"\n],\n{rest}\n}}\n")


def _print_tables(ledger: Ledger, lines: Iterator[dict[str, Any]]) -> None:
    from airflow_provider_kling.reconciling import MATCHED, NOT_COMPARED, STATES, Sums

    sums, kept = Sums(), {state: [] for state in STATES}  # type: tuple[Sums, dict[str, list[Mapping[str, Any]]]]
    for line in lines:
        sums.add(line)
        if line["state"] not in (MATCHED, NOT_COMPARED) and len(kept[line["state"]]) < MOST_LINES:
            kept[line["state"]].append(line)
    sys.stdout.write(f"Charges for tasks created {ledger.span.text}\n{sums.text}\n")
    for group, title in TITLES.items():
        if group != "connection" or len(sums.by[group]) > 1:
            sys.stdout.write("\n")
            _print_sums(title, sums, group)
    for state, found in kept.items():
        if found:
            _print_lines(state, found, sums.counts[state])


def _print_sums(title: str, sums: Sums, group: str) -> None:
    rows = [_sum_row(harmless(name) if name is not None else "unknown", one) for name, one in sums.rows(group)]
    write_table((title, "charges", "amount", "tasks without a charge", "their units"), rows)


def _sum_row(name: str, one: Sum) -> tuple[str, ...]:
    from airflow_provider_kling.reconciling import amounts_text

    facts = one.to_json()
    return name, f"{one.charges:,}", amounts_text(one), f"{one.missing:,}", facts["units_without_charge"]


def _print_lines(state: str, lines: list[Mapping[str, Any]], count: int) -> None:
    from airflow_provider_kling.reconciling import MEANINGS

    more = f" (the first {len(lines):,} of {count:,})" if count > len(lines) else ""
    sys.stdout.write(f"\n{state.replace('_', ' ')}: {MEANINGS[state]}{more}\n")
    names = ("charged_at", "amount", "units", "kling_task_id", "dag_id", "run_id", "row_id", "effect_scene", "api_key_name")
    head = ("charged at", "amount", "result says", "Kling task", "DAG", "run", "row", "scene", "key")
    write_table(head, [tuple(harmless(str(line[name] or "")) for name in names) for line in lines])
