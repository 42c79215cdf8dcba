"""The outcomes as a table: for the terminal and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cell import CHECKS, Outcome

HEAD = ("Airflow", "Python", "Passed", "Failed", "Skipped", "Imports", "Provider", "DAG", "Seconds", "Date")


def row(outcome: Outcome) -> tuple[str, ...]:
    """The cells of one line."""
    if outcome.missing:
        return (outcome.airflow, outcome.python, *["–"] * 7, f"missing: {outcome.missing}")
    checks = [outcome.checks.get(check, "FAILED") for check in CHECKS]
    counts = [str(outcome.passed), str(outcome.failed), str(outcome.skipped)]
    return (
        outcome.airflow,
        outcome.python,
        *counts,
        *checks,
        str(outcome.seconds),
        f"{outcome.date}, quick" if outcome.quick else outcome.date,
    )


def as_text(outcomes: Sequence[Outcome]) -> str:
    """Columns, for a terminal."""
    rows = [HEAD, *map(row, outcomes)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in rows)


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """A table, with a list of what failed below it."""
    rule = tuple("---:" if 2 <= column <= 4 or column == 8 else "---" for column in range(len(HEAD)))
    lines = ["| " + " | ".join(cells) + " |" for cells in (HEAD, rule, *map(row, outcomes))]
    faults = [f"- {outcome.cell}: {_harmless(fault)}" for outcome in outcomes for fault in outcome.faults]
    return "\n".join([*lines, *(["", *faults] if faults else [])]) + "\n"


def total(outcomes: Sequence[Outcome]) -> str:
    """The last line: counts that add up what all cells have counted."""
    passed, failed, skipped = (sum(getattr(outcome, name) for outcome in outcomes) for name in ("passed", "failed", "skipped"))
    return f"{passed} passed, {failed} failed, {skipped} skipped"


def _harmless(text: str) -> str:
    return re.sub(r"[|<>`\n]", " ", text)
