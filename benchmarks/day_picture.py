"""Draws the days that `day.py` has written: `python benchmarks/day_picture.py` makes build/day/day.svg."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import paths

mpl.use("Agg")
from matplotlib import pyplot

BUILD = paths.ROOT / "build" / "day"
ROWS = (
    ("rows an hour", (("arrived", "arrived", "#9aa5ab"), ("finished", "finished", "#0b6e4f"))),
    ("rows in work", (("waiting", "wait for a slot", "#e3b23c"), ("running", "run at Kling", "#0b6e4f"))),
    ("requests a second", (("requests", "requests to Kling", "#2a6f97"),)),
)


def draw(days: list[dict[str, Any]], path: Path) -> None:
    """One column for each load, and one row for each kind of curve."""
    figure, grid = pyplot.subplots(
        len(ROWS), len(days), sharex=True, squeeze=False, figsize=(3.1 * len(days) + 0.6, 6.2), layout="constrained"
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
                axes.legend(fontsize=7, frameon=False, loc="upper left")
    for axes in grid[-1]:
        axes.set_xlabel("hour of the day", fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main(names: list[str]) -> None:
    files = [BUILD / f"{name}.json" for name in names] or sorted(
        BUILD.glob("*-*.json"), key=lambda file: (int(file.stem.split("-")[0]), file.stem)
    )
    mpl.rcParams["svg.hashsalt"] = "day"
    mpl.rcParams["svg.fonttype"] = "none"
    draw([json.loads(file.read_text()) for file in files], BUILD / "day.svg")


if __name__ == "__main__":
    main(sys.argv[1:])
