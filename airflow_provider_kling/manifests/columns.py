"""The columns of manifests and results: their names, and what errors say about wrong ones."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from airflow_provider_kling.manifests.invisible import invisible_in

IMAGE_COLUMNS = ("image", "image_1", "image_2", "images")
KNOWN_COLUMNS = ("id", "effect_scene", *IMAGE_COLUMNS)

# What a line of the results holds about its row, in this order; no column of a manifest may have one of these names.
RESULT_COLUMNS = (
    *("kling_task_id", "external_task_id", "status", "message", "videos", "units", "created_at", "updated_at", "error"),
    *("error_kind", "refused_image"),
)

MAX_SCENE = 100  # characters; the longest known name has 35


@functools.lru_cache(maxsize=256)
def check_names(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is wrong with the names of a row's columns, and warnings about names that look like a known one."""
    problems = tuple(
        f"Column {name!r} has a name that the results use themselves; rename it." for name in names if name in RESULT_COLUMNS
    ) + tuple(
        f"Column {name[:40]!r} has an invisible character in its name, {sign}; type the name anew."
        for name in names
        if not name.isascii() and (sign := invisible_in(name))
    )
    warnings = []
    for name in names:
        if name not in KNOWN_COLUMNS and name not in RESULT_COLUMNS and len(name) <= MAX_SCENE:
            near = [known for known in _similar(name.lower(), KNOWN_COLUMNS, most=3, cutoff=0.8) if known not in names]
            if near:
                warnings.append(f"Column {name!r} is carried through to the results unread; did you mean {near[0]!r}?")
    return problems, tuple(warnings)


def did_you_mean(expected: str, names: Iterable[str]) -> str:
    """A question to append to an error, where one of the names looks like the expected one; else nothing."""
    by_lower = {name.lower(): name for name in names if len(name) <= MAX_SCENE}
    near = _similar(expected, by_lower, most=1, cutoff=0.55)
    return f" Did you mean column {by_lower[near[0]]!r}?" if near else ""


def _similar(name: str, names: Iterable[str], *, most: int, cutoff: float) -> list[str]:
    import difflib  # only where a name is not known

    return difflib.get_close_matches(name, names, n=most, cutoff=cutoff)


def json_kind(value: Any) -> str:
    """How errors name the kind of a JSON value: `a number (7)`, `a list`, `null`, …"""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"a number ({str(value)[:40]})"
    kinds = {bool: "true or false", str: "a text", list: "a list", dict: "an object"}
    return kinds.get(type(value), "null")
