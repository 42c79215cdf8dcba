"""A day of a thousand, a hundred thousand and a million videos, in virtual time: `python benchmarks/day.py [videos …]`.

The real dispatchers work on the emulator's account model (`day_account`). Accounts share nothing: each has its own dispatcher
in each triggerer, its own slots and its own list. So a few accounts are simulated, and their counts are multiplied by the
number of accounts; everything that accounts do share (CPU, waiters in a triggerer) is computed from the sum (`day_costs`).
`--accounts` says how many are simulated of each load. Prints a table; JSON and the picture are written to build/day.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import statistics
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import machine
import paths
from day_account import KINDS, AccountDay, requests_by_kind, simulate_account
from day_costs import backlog, machines, triggerers_needed
from day_load import DayLoad

BUILD = paths.ROOT / "build" / "day"
VIDEOS = (1_000, 100_000, 1_000_000)
MINUTE = 60.0


def counted(moments: list[float], length: float, scale: float, step: float) -> list[float]:
    """How many of these moments lie in each step of the day, in all accounts."""
    found = [0.0] * (int(length / step) + 1)
    for moment in moments:
        if 0 <= moment < length:
            found[int(moment / step)] += scale
    return found


def levels(days: list[AccountDay], begin: str, end: str, length: float, scale: float) -> list[float]:
    """How many rows are between these two events, at each minute of the day."""
    change = Counter[int]()
    for day in days:
        for moments, sign in ((getattr(day, begin), 1), (getattr(day, end), -1)):
            for moment in moments:
                change[int(moment / MINUTE)] += sign
    level, found = 0, []
    for minute in range(int(length / MINUTE)):
        level += change[minute]
        found.append(level * scale)
    return found


def waits(days: list[AccountDay]) -> list[float]:
    """The seconds from a row's arrival to its video, sorted."""
    return sorted(noticed - arrived for day in days for arrived, noticed in zip(day.arrived, day.noticed, strict=True))


def _minutes(waited: list[float], share: float) -> float:
    return round(waited[int(len(waited) * share)] / 60, 1)


def summarize(load: DayLoad, days: list[AccountDay]) -> dict[str, Any]:
    """What the simulated accounts come to for all accounts."""
    scale = load.videos / sum(day.videos for day in days)
    kinds = requests_by_kind(days)
    by_minute = counted([at for day in days for at, _ in day.requests], load.length, scale / MINUTE, MINUTE)
    running = levels(days, "created", "ended", load.length, scale)
    in_work = levels(days, "arrived", "noticed", load.length, scale)
    waited = waits(days)
    per_video = [len(day.requests) / day.videos for day in days]
    return {
        "load": str(load),
        **{name: getattr(load, name) for name in ("videos", "way", "slots", "seconds", "accounts", "triggerers")},
        "simulated_accounts": len(days),
        "multiplied_by": round(scale, 2),
        "simulation_cpu": round(sum(day.cpu for day in days), 1),
        "requests_per_video": round(statistics.mean(per_video), 2),
        "lowest_and_highest": [round(min(per_video), 2), round(max(per_video), 2)],
        "by_kind": {kind: round(kinds[kind] * scale / load.videos, 3) for kind in KINDS},
        "requests_a_second": {
            "mean": round(sum(kinds.values()) * scale / load.length, 2),
            "busiest_minute": round(max(by_minute), 2),
        },
        "running": {"mean": round(statistics.mean(running)), "most": round(max(running))},
        "in_work_at_most": round(max(in_work)),
        "minutes_to_video": {
            name: round(waited[int(len(waited) * share)] / 60, 1) for name, share in (("median", 0.5), ("p95", 0.95))
        },
        "last_video_at_hour": round(max(max(day.noticed) for day in days) / 3600, 2),
        "machines": dataclasses.asdict(machines(load, max(in_work))),
        "curves": {
            "arrived": counted([at for day in days for at in day.arrived], load.length, scale, 3600.0)[:24],
            "finished": counted([at for day in days for at in day.noticed], load.length, scale, 3600.0)[:24],
            "running": running[::10],
            "waiting": [whole - part for whole, part in zip(in_work, running, strict=True)][::10],
            "requests": [statistics.mean(by_minute[at : at + 10]) for at in range(0, int(load.length / MINUTE), 10)],
        },
    }


def planned(videos: int, way: str, *, slots: int, seconds: float, pinned: bool) -> DayLoad:
    """The load, with as many triggerers as its backlog needs. `pinned`: each account stays in one triggerer, by a trigger queue."""
    load = DayLoad(videos, way, slots=slots, seconds=seconds)  # type: ignore[arg-type]
    return load if pinned else load.with_triggerers(triggerers_needed(load, max(backlog(load))))


def table_row(found: dict[str, Any]) -> str:
    need, rate = found["machines"], found["requests_a_second"]
    cells = (
        f"{found['videos']:,} {found['way']}{found.get('note', '')}",
        f"{found['accounts']} × {found['slots']}",
        f"{found['requests_per_video']}",
        f"{rate['mean']}, {rate['busiest_minute']}",
        f"{found['in_work_at_most']:,}",
        f"{need['waiters']:,}",
        f"{need['triggerers']}",
        f"{sum(need['mean_cores'].values()):.2f}, {sum(need['peak_cores'].values()):.2f}",
        f"{need['task_instances']:,}",
        f"{found['minutes_to_video']['median']}, {found['minutes_to_video']['p95']}",
    )
    return "| " + " | ".join(cells) + " |"


COLUMNS = (
    "Videos a day",
    "Accounts × slots",
    "Requests a video",
    "Requests a second: mean, busiest minute",
    "Rows in work, at most",
    "Triggers, at most",
    "Triggerers",
    "Cores: mean, busiest hour",
    "Task instances",
    "Minutes to a video: median, p95",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="*", type=int, default=VIDEOS)
    parser.add_argument("--way", choices=["batch", "mapped"], action="append")
    parser.add_argument("--slots", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--accounts", type=int, default=2, help="how many are simulated of each load; 0: all")
    parser.add_argument("--pinned", action="store_true", help="each account in one triggerer")
    chosen = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    print(json.dumps(machine.conditions()), "\n\n" + HEAD, sep="", flush=True)
    found = []
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for videos in chosen.videos:
            for way in chosen.way or ("batch", "mapped"):
                load = planned(videos, way, slots=chosen.slots, seconds=chosen.seconds, pinned=chosen.pinned)
                numbers = range(min(load.accounts, chosen.accounts or load.accounts))
                days = list(pool.map(simulate_account, [load] * len(numbers), numbers))
                found.append(summarize(load, days) | ({"note": ", pinned"} if chosen.pinned else {}))
                print(table_row(found[-1]), flush=True)
                name = f"{videos}-{way}{'-pinned' if chosen.pinned else ''}.json"
                (BUILD / name).write_text(json.dumps(found[-1]))


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    main()
