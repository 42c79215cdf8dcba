"""A Kling account for one measurement, and what its ledger and journal say of it afterwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import paths  # noqa: F401 - for ideal
from ideal import ideal

from airflow_provider_kling.emulator import KlingEmulator

JITTER = 0.3  # tasks take their seconds ± 30 %, by a fixed seed
NO_LIMIT = 1_000_000
ASKED = ("create", "get", "list")  # kinds of requests to the API


@dataclass(frozen=True)
class Load:
    """So many videos of so many seconds each over so many slots."""

    videos: int
    seconds: float
    slots: int = NO_LIMIT

    def __str__(self) -> str:
        slots = "no limit" if self.slots == NO_LIMIT else f"C={self.slots}"
        return f"N={self.videos:,} D={self.seconds:g} {slots}"


def open_account(load: Load) -> KlingEmulator:
    """A new account in a process of its own."""
    return KlingEmulator.spawn(slots=load.slots, duration=load.seconds, jitter=JITTER, seed=1, videos="clip").start()


def slot_use(line: list[tuple[float, int]], slots: int, first: float, last: float) -> float:
    """The part of the slots that was used from the first create to the last one: while work remained."""
    area = 0.0
    for (start, used), (end, _) in pairwise([*line, (last, 0)]):
        area += used * max(0.0, min(end, last) - max(start, first))
    return area / (slots * (last - first))


def told(kling: KlingEmulator, load: Load) -> dict[str, Any]:
    """What Kling has seen of the load."""
    ledger, journal = kling.ledger, kling.journal
    if not ledger:
        return {"paid": 0}
    created, ends = [task["created_at"] for task in ledger], [task["ends_at"] for task in ledger]
    kinds = Counter(one["kind"] for one in journal)
    refused = sum(one["kind"] == "create" and one["code"] == 1303 for one in journal)
    measured: dict[str, Any] = {
        "paid": len(ledger),
        "ideal": round(ideal([end - start for start, end in zip(created, ends, strict=True)], load.slots), 1),
        "kling": round(max(ends) - min(created), 1),  # from the first task's beginning to the last one's end
        "requests": {kind: kinds[kind] for kind in ASKED},
        "requests_per_video": round(sum(kinds[kind] for kind in ASKED) / load.videos, 3),
        "refused": round(refused / max(1, kinds["create"]), 4),
    }
    if load.slots < load.videos:
        measured["slot_use"] = round(slot_use(kling.slot_use, load.slots, min(created), max(created)), 4)
    start = min(created)
    measured["slots_over_time"] = [(round(moment - start, 2), used) for moment, used in kling.slot_use]
    return measured
