"""Slots over time, a line for each way: what a user's account was doing while it was paid for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

HEIGHT = 1.25  # inches for each way


def draw(measurements: list[dict[str, Any]], path: Path, *, slots: int, ideal: float, title: str) -> None:
    """One row for each measurement, with the ideal's end marked."""
    last = max(one["slots_over_time"][-1][0] for one in measurements)
    figure, rows = pyplot.subplots(
        len(measurements), 1, sharex=True, figsize=(9, HEIGHT * len(measurements) + 1), squeeze=False, layout="constrained"
    )
    for axes, one in zip(rows[:, 0], measurements, strict=True):
        times, used = zip(*one["slots_over_time"], strict=True)
        ours = not one["way"].startswith("own")
        axes.fill_between(times, used, step="post", color="#0b6e4f" if ours else "#9aa5ab", linewidth=0)
        axes.axvline(ideal, color="#c44536", linewidth=1)
        axes.set(ylim=(0, slots * 1.05), yticks=(0, slots), xlim=(0, last))
        told = f"{one['way']}   {one['slot_use']:.0%} of the slots used while work remained, {one['kling']:.0f} s"
        axes.set_title(told, loc="left", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    rows[-1, 0].set_xlabel("seconds since the first task; the line is the ideal's end")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
