"""Measures what a start of a worker loads of this package, and because of it: `python segments.py [runs]` prints tables.

A *segment* is one process of a worker with one task: from the DAG file, as `kling_effects_mapped` is one, until the task defers
or ends. Each of them runs so often (default: 9), every time in a new process, against an emulator. The milliseconds are those of
Python's `-X importtime`, for each module without what it loads itself; the byte code is compiled before. Of each module the
median over the runs counts: when the machine does something else, that hits another module each time.

What Airflow loads for any task counts for nothing: before, a task of another operator that asks for a connection, defers and
resumes has run in the same process (see `tests/one_segment.py`). `tests/test_segments.py` says what must not be loaded.
With `--json`, prints the same as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import machine
import paths  # noqa: F401 - for one_segment

LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")
OWN = "airflow_provider_kling"
PARTS = ("dag_file", "execute")

Times = dict[str, dict[str, float]]  # part → module → milliseconds


def times_in(output: str) -> Times:
    """The milliseconds of each module in the output of `-X importtime`, by the part of the segment."""
    found: Times = {part: defaultdict(float) for part in PARTS}
    part = ""
    for line in output.splitlines():
        if line.startswith("SEGMENT "):
            part = line.removeprefix("SEGMENT ")
        elif part in found and (match := LINE.match(line)):
            found[part][match[2]] += int(match[1]) / 1000
    return found


def measure(segment: str, runs: int, env: Mapping[str, str], event: str) -> Times:
    """The median of each module's time over so many runs, after one that compiles the byte code."""
    from one_segment import run_segment

    every = []
    for _ in range(runs + 1):
        with tempfile.TemporaryDirectory() as folder:
            _, output = run_segment(segment, Path(folder) / "videos", event, options=("-X", "importtime"), env=env)
        every.append(times_in(output))
    return {part: _medians([each[part] for each in every[1:]]) for part in PARTS}


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    modules = dict.fromkeys(module for run in runs for module in run)
    return {module: statistics.median(run.get(module, 0.0) for run in runs) for module in modules}


def summary(times: Times) -> dict[str, Any]:
    """What a segment takes: of this package for each part, of what is loaded because of it, and in all."""
    modules: dict[str, float] = defaultdict(float)
    for part in PARTS:
        for module, took in times[part].items():
            modules[module] += took
    own = {module for module in modules if module.split(".")[0] == OWN}
    return {
        "modules": len(modules),
        "own_modules": len(own),
        **{f"own_{part}": round(sum(took for module, took in times[part].items() if module in own), 1) for part in PARTS},
        "others": round(sum(took for module, took in modules.items() if module not in own), 1),
        "total": round(sum(modules.values()), 1),
        "each": {module: round(took, 2) for module, took in sorted(modules.items(), key=lambda entry: -entry[1])},
    }


def by_library(each: Mapping[str, float]) -> dict[str, float]:
    """The modules of this package, each for itself, and those of others by library."""
    sums: dict[str, float] = defaultdict(float)
    for module, took in each.items():
        library = module.split(".")[0]
        sums[module.removeprefix(f"{OWN}.") if library == OWN else f"({library})"] += took
    return dict(sorted(sums.items(), key=lambda entry: -entry[1]))


def print_tables(conditions: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    out = sys.stdout.write
    out(", ".join(f"{name} {value}" for name, value in conditions.items()) + "\n\n")
    out("| Segment | Modules, ours | ms, ours: DAG file | ms, ours: task | ms, others | ms in all |\n|---|---|---|---|---|---|\n")
    for segment, one in found.items():
        counts = f"{one['modules']}, {one['own_modules']}"
        out(f"| {segment} | {counts} | {one['own_dag_file']} | {one['own_execute']} | {one['others']} | {one['total']} |\n")
    for segment, one in found.items():
        out(f"\n{segment}\n")
        shown = [f"{name} {took:.2f}" for name, took in by_library(one["each"]).items()]
        out("".join(f"  {', '.join(shown[start : start + 6])}\n" for start in range(0, len(shown), 6)))


def main(runs: int, *, as_json: bool) -> None:
    from airflow_provider_kling.emulator import KlingEmulator

    with tempfile.TemporaryDirectory() as folder, KlingEmulator(slots=50, duration=0, videos="clip") as kling:
        os.environ.setdefault("AIRFLOW_HOME", f"{folder}/airflow")
        os.environ["AIRFLOW_CONN_KLING_DEFAULT"] = kling.connection()
        from one_segment import SEGMENTS, done_event

        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = f"{folder}/byte-code"
        event = done_event()
        conditions = {**machine.conditions(), "runs": runs}
        found = {segment: summary(measure(segment, runs, env, event)) for segment in SEGMENTS}
    if as_json:
        sys.stdout.write(json.dumps({**conditions, "segments": found}) + "\n")
    else:
        print_tables(conditions, found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    main(arguments.runs, as_json=arguments.json)
