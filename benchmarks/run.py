"""All measurements: `python benchmarks/run.py short`, `full`, or names of some of them.

Each run is printed as it ends, with the machine's load; at the end stand medians and the targets. JSON and the picture go
to build/benchmarks. Measurements of one command are made after one another on one machine: compare within it only.
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
from picture import draw
from runs import OPTIONS, PARALLELISM, WAYS, airflow, measure, packages_are_compiled

BUILD = paths.ROOT / "build" / "benchmarks"
QUOTA = Load(50, 20, 10)
OURS = ("batch", "mapped")
ENDED = "mapped, ends in triggerer"
HIDDEN = ("slots_over_time", "cpu", "requests")  # in the JSON only, or too long for a line

Measured = dict[str, Any]


class Benchmarks:
    """What has been measured so far."""

    def __init__(self, *, times: int) -> None:
        self.times = times
        self.measured: list[Measured] = []

    def add(self, what: str, way: str, values: Measured, load: Load | None = None) -> None:
        one = {"what": what, "way": way, "load": str(load or ""), "machine_load": round(os.getloadavg()[0], 2), **values}
        self.measured.append(one)
        shown = {name: value for name, value in values.items() if name not in HIDDEN}
        print(f"{what:14} {way:28} {one['load']:18} {json.dumps(shown)}", flush=True)
        (BUILD / "results.json").write_text(json.dumps({"conditions": CONDITIONS, "measured": self.measured}, indent=1))

    def of(self, what: str, way: str, value: str) -> list[float]:
        return [one[value] for one in self.measured if one["what"] == what and one["way"] == way and value in one]

    def median(self, what: str, way: str, value: str) -> float | None:
        found = self.of(what, way, value)
        return statistics.median(found) if found else None


def with_airflow(what: str, loads: dict[str, Load]) -> Callable[[Benchmarks], None]:
    """Loads by way, in one Airflow, the ways taking turns."""

    def bench(benchmarks: Benchmarks) -> None:
        home = BUILD / what
        shutil.rmtree(home, ignore_errors=True)
        with airflow(home) as stack:
            for number in range(benchmarks.times):
                for way, load in loads.items():
                    if number == 0 or not way.startswith("own") or benchmarks.times <= 1:
                        try:
                            values = measure(stack, way, load, home / "runs")
                        except TimeoutError as error:  # a way that does not end is a result, too
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
    "memory": lambda benchmarks: (
        [script("memory", "manifests.py", "batch", rows, way=f"batch {rows:,}", times=1)(benchmarks) for rows in (1000, 100_000)]
        and None
    ),
    "quota": with_airflow("quota", {way: QUOTA for way in WAYS if way != ENDED}),
    "many": SHORT["many"],
    "mapped": with_airflow("mapped", dict.fromkeys(("mapped", ENDED, "own: deferrable operator"), Load(300, 30))),
    "waiters": script("waiters", "waiters.py", 10_000, 60, way="waiters"),
}


@dataclass(frozen=True)
class Beside:
    """A limit that another way's median sets."""

    way: str
    times: float = 1.0
    more: float = 0.0


# What is to be reached: measurement, way, value, at most (or at least).
TARGETS: list[tuple[str, str, str, str, float | Beside]] = [
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
    ("mapped", "mapped", "cpu_per_video", "<=", Beside("own: deferrable operator", times=0.5)),
    ("mapped", ENDED, "requests_per_video", "<=", 1.2),
    ("mapped", ENDED, "cpu_per_video", "<=", Beside("own: deferrable operator", times=0.5)),
    ("waiters", "waiters", "lag_p99_ms", "<=", 50),
    ("waiters", "waiters", "requests_per_second", "<=", 3),
    ("waiters", "waiters", "noticed_after_median", "<=", 6.0),
    ("waiters", "waiters", "kb_per_waiter", "<=", 20),
    ("memory", "batch 100,000", "peak_mb", "<=", Beside("batch 1,000", more=150)),
    ("reading", "read", "rows_per_second", ">=", 5000),
    ("imports", "imports", "milliseconds", "<=", 30),
]


def judged(benchmarks: Benchmarks) -> Iterator[str]:
    """A line for each target that was measured."""
    for what, way, value, than, target in TARGETS:
        median = benchmarks.median(what, way, value)
        if median is None:
            continue
        limit: float | None
        if isinstance(target, Beside):
            other = benchmarks.median(what, target.way, value)
            limit = None if other is None else round(other * target.times + target.more, 4)
        else:
            limit = target
        if limit is None:
            continue
        reached = median >= limit if than == ">=" else median <= limit
        runs = ", ".join(f"{one:g}" for one in benchmarks.of(what, way, value))
        verdict = "reached" if reached else f"missed by {abs(median / limit - 1):.1%}"
        yield f"| {what}, {way} | {value} | {runs} | {median:g} | {than} {limit:g} | {verdict} |"


def pictured(benchmarks: Benchmarks) -> None:
    """The first run of each way with a quota."""
    first = {one["way"]: one for one in reversed(benchmarks.measured) if one["what"] == "quota" and "slot_use" in one}
    ways = [first[way] for way in WAYS if way in first]
    if ways:
        ideal = statistics.median(one["ideal"] for one in ways)
        title = f"Slots in use, {QUOTA.videos} videos of {QUOTA.seconds:g} s ± 30 % over {QUOTA.slots} slots"
        draw(ways, BUILD / "slots.png", slots=QUOTA.slots, ideal=ideal, title=title)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["short"], help=f"short, full, or of {', '.join(FULL)}")
    parser.add_argument("--times", type=int, help="how often each is measured (short: 1, full: 3; ways of users' own once)")
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
    pictured(benchmarks)
    lines = ["| Measurement | Value | Runs | Median | Target | |", "|---|---|---|---|---|---|", *judged(benchmarks)]
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
