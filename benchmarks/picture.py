"""Draws the slots in use over time, one chart for each way to run the load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

HAND_WRITTEN = "hand-written"  # how the names of DAGs without this package start
HEIGHT = 1.25  # inches of each chart


def draw(measurements: list[dict[str, Any]], path: Path, *, slots: int, ideal: float, title: str) -> None:
    """Draw one chart for each measurement, with a line at the ideal end."""
    last = max(each["slots_over_time"][-1][0] for each in measurements)
    figure, rows = pyplot.subplots(
        len(measurements), 1, sharex=True, figsize=(9, HEIGHT * len(measurements) + 1), squeeze=False, layout="constrained"
    )
    for axes, measurement in zip(rows[:, 0], measurements, strict=True):
        times, used = zip(*measurement["slots_over_time"], strict=True)
        ours = not measurement["way"].startswith(HAND_WRITTEN)
        axes.fill_between(times, used, step="post", color="#0b6e4f" if ours else "#9aa5ab", linewidth=0)
        axes.axvline(ideal, color="#c44536", linewidth=1)
        axes.set(ylim=(0, slots * 1.05), yticks=(0, slots), xlim=(0, last))
        used_slots = f"{measurement['slot_use']:.0%} of the slots in use while work remained"
        axes.set_title(f"{measurement['way']}   {used_slots}, {measurement['kling']:.0f} s", loc="left", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    rows[-1, 0].set_xlabel("seconds since the first task; the line is the ideal end")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
