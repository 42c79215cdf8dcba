"""Runs the measurements: `python benchmarks/run.py short`, `full`, or names of some of them.

Each measurement is printed when it ends; the medians and the targets are printed at the end. JSON and the picture are written
to build/benchmarks. The measurements of one command run one after another on one machine: compare only within one command.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
import paths
from accounts import Load
from picture import HAND_WRITTEN, draw
from runs import OPTIONS, PARALLELISM, WAYS, airflow, measure, packages_are_compiled

BUILD = paths.ROOT / "build" / "benchmarks"
QUOTA = Load(50, 20, 10)
OURS = ("batch", "mapped")
ENDED_BY_WORKERS, TWO_TASKS, DEFERRABLE = "mapped, ended by workers", "mapped, two tasks a row", "hand-written: deferrable operator"
MAPPED = ("mapped", ENDED_BY_WORKERS, TWO_TASKS, DEFERRABLE)
MANY_ROWS = Load(300, 30)
NOT_PRINTED = ("slots_over_time", "cpu", "requests")  # too long for a line; the JSON has them

Measurement = dict[str, Any]


class Benchmarks:
    """The measurements so far."""

    def __init__(self, *, times: int) -> None:
        self.times = times
        self.measurements: list[Measurement] = []

    def add(self, what: str, way: str, values: Measurement, load: Load | None = None) -> None:
        machine_load = round(os.getloadavg()[0], 2)
        measurement = {"what": what, "way": way, "load": str(load or ""), "machine_load": machine_load, **values}
        self.measurements.append(measurement)
        printed = {name: value for name, value in values.items() if name not in NOT_PRINTED}
        print(f"{what:14} {way:28} {measurement['load']:18} {json.dumps(printed)}", flush=True)
        (BUILD / "results.json").write_text(json.dumps({"conditions": CONDITIONS, "measured": self.measurements}, indent=1))

    def of(self, what: str, way: str, value: str) -> list[float]:
        return [each[value] for each in self.measurements if (each["what"], each["way"]) == (what, way) and value in each]

    def median(self, what: str, way: str, value: str) -> float | None:
        found = self.of(what, way, value)
        return statistics.median(found) if found else None


def with_airflow(what: str, loads: dict[str, Load], *, preload: bool = False) -> Callable[[Benchmarks], None]:
    """Measurements in one Airflow. `loads` has the load of each way; the ways take turns."""

    def bench(benchmarks: Benchmarks) -> None:
        home = BUILD / what
        shutil.rmtree(home, ignore_errors=True)
        with airflow(home, preload=preload) as stack:
            for number in range(benchmarks.times):
                for way, load in loads.items():
                    if number == 0 or not way.startswith(HAND_WRITTEN) or benchmarks.times <= 1:
                        try:
                            values = measure(stack, way, load, home / "runs")
                        except TimeoutError as error:  # a way that does not end is a result too
                            values = {"state": str(error).partition("\n")[0]}
                        benchmarks.add(what, way, values, load)

    return bench


def script(what: str, *arguments: str | int, way: str = "", times: int | None = None) -> Callable[[Benchmarks], None]:
    """A measurement in a process of its own, which prints JSON."""

    def bench(benchmarks: Benchmarks) -> None:
        home = BUILD / "home"
        environment = {**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__UNIT_TEST_MODE": "True"}
        command = [sys.executable, *(str(Path(__file__).with_name(str(arguments[0]))), *map(str, arguments[1:]))]
        for _ in range(times or benchmarks.times):
            printed = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
            benchmarks.add(what, way or " ".join(map(str, arguments[1:])), json.loads(printed.splitlines()[-1]))

    return bench


def memory(benchmarks: Benchmarks) -> None:
    """The memory of a batch with few rows, and with many."""
    for rows in (1000, 100_000):
        script("memory", "manifests.py", "batch", rows, way=f"batch {rows:,}", times=1)(benchmarks)


SHORT: dict[str, Callable[[Benchmarks], None]] = {
    "imports": script("imports", "imports.py", way="imports", times=5),
    "reading": script("reading", "manifests.py", "read", 50_000, way="read"),
    "quota": with_airflow("quota", dict.fromkeys(OURS, QUOTA)),
    "many": with_airflow("many", {"batch": Load(1000, 30)}),
    "waiters": script("waiters", "waiters.py", 5000, 40, way="waiters"),
}
FULL: dict[str, Callable[[Benchmarks], None]] = {
    "imports": SHORT["imports"],
    "reading": script("reading", "manifests.py", "read", 100_000, way="read"),
    "memory": memory,
    "quota": with_airflow("quota", {way: QUOTA for way in WAYS if way != ENDED_BY_WORKERS}),
    "many": SHORT["many"],
    "mapped": with_airflow("mapped", dict.fromkeys(MAPPED, MANY_ROWS)),
    "preloaded": with_airflow("preloaded", dict.fromkeys(MAPPED, MANY_ROWS), preload=True),
    "waiters": script("waiters", "waiters.py", 10_000, 60, way="waiters"),
}


@dataclass(frozen=True)
class RelativeTo:
    """A limit relative to the median of another way."""

    way: str
    factor: float = 1.0
    plus: float = 0.0


# The targets: measurement, way, value, comparison and limit.
TARGETS: list[tuple[str, str, str, str, float | RelativeTo]] = [
    ("quota", "batch", "slot_use", ">=", 0.98),
    ("quota", "mapped", "slot_use", ">=", 0.96),
    ("quota", "batch", "makespan", "<=", 1.06),
    ("quota", "mapped", "makespan", "<=", 1.12),
    ("quota", "batch", "requests_per_video", "<=", 2.5),
    ("quota", "mapped", "requests_per_video", "<=", 2.5),
    ("quota", "batch", "refused", "<=", 0.03),
    ("quota", "mapped", "refused", "<=", 0.03),
    ("many", "batch", "makespan", "<=", 1.15),
    ("many", "batch", "requests_per_video", "<=", 1.1),
    ("many", "batch", "cpu_per_video", "<=", 0.01),
    ("many", "batch", "emulator_core", "<=", 0.25),
    ("mapped", "mapped", "requests_per_video", "<=", 1.2),
    ("mapped", "mapped", "cpu_per_video", "<=", RelativeTo(DEFERRABLE, factor=0.5)),
    ("mapped", "mapped", "cpu_per_video", "<=", 0.28),
    ("mapped", "mapped", "makespan", "<=", 2.0),
    ("mapped", TWO_TASKS, "cpu_per_video", "<=", 0.7),
    ("preloaded", "mapped", "cpu_per_video", "<=", 0.24),
    ("mapped", ENDED_BY_WORKERS, "requests_per_video", "<=", 1.2),
    ("waiters", "waiters", "lag_p99_ms", "<=", 50),
    ("waiters", "waiters", "requests_per_second", "<=", 3),
    ("waiters", "waiters", "noticed_after_median", "<=", 6.0),
    ("waiters", "waiters", "kb_per_waiter", "<=", 20),
    ("memory", "batch 100,000", "peak_mb", "<=", RelativeTo("batch 1,000", plus=150)),
    ("reading", "read", "rows_per_second", ">=", 5000),
    ("imports", "imports", "milliseconds", "<=", 30),
]


def target_rows(benchmarks: Benchmarks) -> Iterator[str]:
    """A row of the table for each target that was measured."""
    for what, way, value, comparison, target in TARGETS:
        median = benchmarks.median(what, way, value)
        if median is None:
            continue
        limit: float | None
        if isinstance(target, RelativeTo):
            other = benchmarks.median(what, target.way, value)
            limit = None if other is None else round(other * target.factor + target.plus, 4)
        else:
            limit = target
        if limit is None:
            continue
        reached = median >= limit if comparison == ">=" else median <= limit
        runs = ", ".join(f"{each:g}" for each in benchmarks.of(what, way, value))
        verdict = "reached" if reached else f"missed by {abs(median / limit - 1):.1%}"
        yield f"| {what}, {way} | {value} | {runs} | {median:g} | {comparison} {limit:g} | {verdict} |"


def draw_picture(benchmarks: Benchmarks) -> None:
    """Draw the first run of each way with few slots."""
    quota = [each for each in benchmarks.measurements if each["what"] == "quota" and "slot_use" in each]
    first = {each["way"]: each for each in reversed(quota)}
    ways = [first[way] for way in WAYS if way in first]
    if ways:
        ideal = statistics.median(each["ideal"] for each in ways)
        title = f"Slots in use, {QUOTA.videos} videos of {QUOTA.seconds:g} s ± 30 % over {QUOTA.slots} slots"
        draw(ways, BUILD / "slots.png", slots=QUOTA.slots, ideal=ideal, title=title)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["short"], help=f"short, full, or some of: {', '.join(FULL)}")
    parser.add_argument("--times", type=int, help="runs of each measurement (short: 1, full: 3; hand-written DAGs: 1)")
    chosen = parser.parse_args()
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    short = chosen.names == ["short"]
    benches = SHORT if short else FULL if chosen.names == ["full"] else {name: FULL[name] for name in chosen.names}
    benchmarks = Benchmarks(times=chosen.times or (1 if short else 3))
    for name, value in CONDITIONS.items():
        print(f"{name}: {value}")
    print(flush=True)
    for bench in benches.values():
        bench(benchmarks)
    draw_picture(benchmarks)
    lines = ["| Measurement | Value | Runs | Median | Target | |", "|---|---|---|---|---|---|", *target_rows(benchmarks)]
    (BUILD / "targets.md").write_text("\n".join(lines) + "\n")
    print("\n" + "\n".join(lines))


CONDITIONS = {
    **machine.conditions(),
    "airflow_settings": {**OPTIONS, "tasks at once": PARALLELISM},
    "byte_code": "compiled" if packages_are_compiled() else "missing",
    "jitter": "± 30 %, seed 1",
}

if __name__ == "__main__":
    main()
