"""Draws the days that `day.py` has written: `python benchmarks/day_picture.py` makes build/day/day-batch.svg and day-mapped.svg."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import paths

mpl.use("Agg")
from matplotlib import pyplot

BUILD = paths.ROOT / "build" / "day"
ROWS = (
    ("rows an hour", (("arrived", "arrived", "#9aa5ab"), ("finished", "finished", "#0b6e4f"))),
    ("rows that wait for a slot", (("waiting", "waiting", "#c98a12"),)),
    ("tasks that run at Kling", (("running", "running", "#0b6e4f"),)),
    ("requests a second", (("requests", "requests to Kling", "#2a6f97"),)),
)


def draw(days: list[dict[str, Any]], path: Path) -> None:
    """One column for each load, and one row for each kind of curve."""
    figure, grid = pyplot.subplots(
        len(ROWS), len(days), sharex=True, squeeze=False, figsize=(3.1 * len(days) + 0.6, 7.6), layout="constrained"
    )
    for column, day in enumerate(days):
        grid[0][column].set_title(f"{day['videos']:,} a day, {day['way']}\n{day['accounts']} × {day['slots']} slots", fontsize=9)
        for row, (label, lines) in enumerate(ROWS):
            axes = grid[row][column]
            for name, legend, color in lines:
                values = day["curves"][name]
                hours = [24 * number / len(values) for number in range(len(values))]
                axes.plot(hours, values, color=color, linewidth=1.2, label=legend, drawstyle="steps-post")
            axes.set(xlim=(0, 24), xticks=(0, 6, 12, 18, 24), ylim=(0, None))
            axes.tick_params(labelsize=7)
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 10 else f"{value:g}")
            axes.spines[["top", "right"]].set_visible(False)
            if column == 0:
                axes.set_ylabel(label, fontsize=8)
            if column == 0 and len(lines) > 1:
                axes.legend(fontsize=7, frameon=False, loc="upper left")
    for axes in grid[-1]:
        axes.set_xlabel("hour of the day", fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def days_of(way: str) -> list[dict[str, Any]]:
    """The days of this way that were simulated, the smallest first. A pinned one stands for one that is spread."""
    found = {}
    for file in (*BUILD.glob(f"*-{way}.json"), *BUILD.glob(f"*-{way}-pinned.json")):
        day = json.loads(file.read_text())
        found[day["videos"]] = day
    return [found[videos] for videos in sorted(found)]


def main() -> None:
    mpl.rcParams["svg.hashsalt"] = "day"
    mpl.rcParams["svg.fonttype"] = "none"
    for way in ("batch", "mapped"):
        if days := days_of(way):
            draw(days, BUILD / f"day-{way}.svg")


if __name__ == "__main__":
    main()
