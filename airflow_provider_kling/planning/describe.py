"""A plan in words: lines for a log, tables for a terminal. Pure; a plan holds texts that are safe to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from airflow_provider_kling.client import format_seconds
from airflow_provider_kling.results import count_of, units_of

WORDS = {
    "made": "made by an earlier attempt",
    "failed": "failed in an earlier attempt",
    "invalid": "cannot be asked for",
    "error": "could not be checked",
    "capped": "beyond the cap",
}
Plan = Mapping[str, Any]


def describe_plan(plan: Plan) -> list[str]:
    """The plan in a few lines: videos, cost, time, balance, and what is not known."""
    lines = [f"{plan['manifest']}: {count_of(plan['rows'], 'row')}, {count_of(plan['videos'], 'video')} to make{_others(plan)}."]
    if plan["doubtful"]:
        lines.append(f"Doubtful: {count_of(plan['doubtful'], 'video')}, whose scene Kling may refuse; that would cost nothing.")
    lines += [f"Cost: {describe_cost(plan)}.", f"Time: {describe_time(plan)}."]
    if balance := describe_balance(plan):
        lines.append(f"Balance: {balance}.")
    return [*lines, *(f"Warning: {warning}" for warning in plan["warnings"]), *(f"Note: {note}" for note in plan["notes"])]


def _others(plan: Plan) -> str:
    others = [f"{plan['counts'][state]:,} {word}" for state, word in WORDS.items() if plan["counts"][state]]
    return f"; {', '.join(others)}" if others else ""


def describe_cost(plan: Plan) -> str:
    """What the videos will cost: `375 units`, or the range where prices are unknown."""
    cost = plan["cost"]
    known = units_of(Decimal(cost["known"]))
    if not cost["unknown"]:
        return known if cost["low"] == cost["known"] else f"{known}, or {cost['low']} if Kling refuses the doubtful scenes"
    unknown = f"{count_of(cost['unknown'], 'video')} of unknown price"
    if cost["at_most"] is None:
        return f"unknown; no price of any scene is known yet ({unknown})"
    return (
        f"{known} and {unknown}; from {cost['low']} to {units_of(Decimal(cost['at_most']))} with the known prices of other scenes"
    )


def describe_time(plan: Plan) -> str:
    """How long the videos will take, and what that is based on."""
    time = plan["time"]
    slots = f"{count_of(time['slots'], 'slot')} ({time['slots_from']})" if time["slots"] else "an unknown number of slots"
    if time["seconds_per_video"] is None:
        return f"unknown; no finished tasks of the account are known, {slots}"
    each = f"{format_seconds(time['seconds_per_video'])} a video (median of {count_of(time['tasks_measured'], 'task')})"
    if time["seconds"] is None:
        return f"unknown; {each}, {slots}"
    busy = f"; {count_of(time['running_now'], 'other task')} running now" if time["running_now"] else ""
    return f"about {format_seconds(time['seconds'])}; {each}, {slots}{busy}"


def describe_balance(plan: Plan) -> str:
    """Whether the packs will do; an empty text if no account was asked."""
    if plan["balance"] is None:
        return ""
    verdict = {True: "that is enough", False: "that is too little", None: "whether that is enough is not known"}
    late = "Kling's number may be 12 hours old"
    return f"the packs hold {units_of(Decimal(plan['balance']))}: {verdict[plan['balance_enough']]}; {late}"


def scenes_table(plan: Plan) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """The head and the rows of a table of the scenes."""
    head = ("scene", "rows", "videos", "price", "last seen", "units", "list")
    rows: list[tuple[str, ...]] = [
        (
            scene["effect_scene"],
            f"{scene['rows']:,}",
            f"{scene['videos']:,}",
            scene["price"] or "unknown",
            scene["price_seen"] or ("by hand" if scene["price"] else ""),
            scene["units"] or ("unknown" if scene["videos"] else "0"),
            scene["listed"],
        )
        for scene in plan["scenes"]
    ]
    return head, rows


def problems_table(plan: Plan) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """The head and the rows of a table of the rows without a new video."""
    head = ("line", "id", "state", "kind", "why")
    rows: list[tuple[str, ...]] = [
        (str(row["line"]), row["id"][:40], row["state"], row["kind"] or "", row["reason"] or "") for row in plan["problems"]
    ]
    return head, rows
