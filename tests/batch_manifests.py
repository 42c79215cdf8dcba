"""Manifests of plain rows, and results, for tests outside of tests/batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_rows(folder: Path, count: int, *more: dict[str, Any]) -> str:
    """Write a manifest of this many rows r0, r1, …, and those in `more`. Returns its path."""
    rows = [{"id": f"r{number}", "effect_scene": "squish", "image": f"https://example.com/{number}.jpg"} for number in range(count)]
    path = folder / "manifest.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in [*rows, *more]))
    return str(path)


def results_of(folder: Path) -> list[dict[str, Any]]:
    """The lines of the `results.jsonl` in this folder."""
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
