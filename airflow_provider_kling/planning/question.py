"""A plan as a question to a person, and what became of an approved one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from airflow_provider_kling.planning.describe import describe_balance, describe_cost, describe_time
from airflow_provider_kling.redaction import harmless
from airflow_provider_kling.results import count_of, decimal_of, units_text

MOST_SCENES = 20  # that the text lists
MOST_REASONS = 10
PATIENCE = timedelta(days=3)


def question_of(plan: Mapping[str, Any], *, wait: timedelta = PATIENCE) -> str:
    """The text of an approval, in Markdown. Whatever comes from a manifest stands in it as code."""
    parts = [
        f"**{count_of(plan['videos'], 'video')}** of {count_of(plan['rows'], 'row')} in {_code(plan['manifest'])}.",
        f"**Cost:** {describe_cost(plan)}.\n\n**Time:** {describe_time(plan)}.",
    ]
    if balance := describe_balance(plan):
        parts.append(f"**Balance:** {balance}.")
    if plan["doubtful"]:
        parts.append(f"Kling may refuse the scenes of {count_of(plan['doubtful'], 'video')}; a refused one costs nothing.")
    if plan["max_videos"] > plan["videos"] + plan["counts"]["made"]:
        parts.append(f"It may become {count_of(plan['max_videos'], 'video')} if what cannot be read now can be when they are made.")
    rows = [f"| {_code(one['effect_scene'])} | {one['videos']:,} | {one['units'] or 'unknown'} |" for one in _paid(plan)]
    if rows:
        parts.append("\n".join(["| Scene | Videos | Units |", "|---|---|---|", *rows]))
    without = [row for row in plan["problems"] if row["state"] != "made"]
    if without:
        more = plan["more_problems"] + max(0, len(without) - MOST_REASONS)
        parts.append(f"{count_of(len(without) + plan['more_problems'], 'row')} will have no new video:")
        parts.append("\n".join(f"- {_code(row['id'])}: {_code(row['reason'] or row['state'])}" for row in without[:MOST_REASONS]))
        if more:
            parts.append(f"… and {more:,} more.")
    parts.append(f"Without an answer within {count_of(wait.days, 'day')}, nothing is made.")
    return "\n\n".join(parts)


def compare(plan: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, Any]:
    """What was planned beside what became of it, as plain JSON. `summary` is that of the batch."""
    spent, most = decimal_of(summary["units"]), plan["cost"]["at_most"]
    return {
        "planned_videos": plan["videos"] + plan["counts"]["made"],
        "videos": summary["videos"],
        "planned_units": plan["cost"]["known"] if not plan["cost"]["unknown"] else None,
        "planned_at_most": most,
        "units": units_text(spent),
        "within_plan": None if most is None or plan["counts"]["made"] else spent <= Decimal(most),
        "report": summary["report"],
    }


def _paid(plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [scene for scene in plan["scenes"] if scene["videos"]][:MOST_SCENES]


def _code(text: str) -> str:
    """A text as code in Markdown, which renders nothing in it; a bar would end a table's cell."""
    text = harmless(text).replace("|", "¦")
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"
