"""A Kling account for one measurement, and the metrics that its ledger and journal give afterwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import paths  # noqa: F401 - for ideal
from ideal import ideal

from airflow_provider_kling.emulator import KlingEmulator

JITTER = 0.3  # tasks take their seconds ± 30 %, with a fixed seed
NO_LIMIT = 1_000_000
API_REQUESTS = ("create", "get", "list")


@dataclass(frozen=True)
class Load:
    """A number of videos that take some seconds each, over a number of slots."""

    videos: int
    seconds: float
    slots: int = NO_LIMIT

    def __str__(self) -> str:
        slots = "no limit" if self.slots == NO_LIMIT else f"C={self.slots}"
        return f"N={self.videos:,} D={self.seconds:g} {slots}"


def open_account(load: Load) -> KlingEmulator:
    """Start a new account in a process of its own."""
    return KlingEmulator.spawn(slots=load.slots, duration=load.seconds, jitter=JITTER, seed=1, videos="clip").start()


def slot_use(history: list[tuple[float, int]], slots: int, first: float, last: float) -> float:
    """The share of the slots that was in use from the first create to the last one: while work remained.

    `history` has each time at which the number of used slots changed, and that number.
    """
    area = 0.0
    for (start, used), (end, _) in pairwise([*history, (last, 0)]):
        area += used * max(0.0, min(end, last) - max(start, first))
    return area / (slots * (last - first))


def account_metrics(kling: KlingEmulator, load: Load) -> dict[str, Any]:
    """The metrics of a load that the account itself shows."""
    ledger, journal = kling.ledger, kling.journal
    if not ledger:
        return {"paid": 0}
    created, ends = [task["created_at"] for task in ledger], [task["ends_at"] for task in ledger]
    kinds = Counter(request["kind"] for request in journal)
    refused = sum(request["kind"] == "create" and request["code"] == 1303 for request in journal)
    metrics: dict[str, Any] = {
        "paid": len(ledger),
        "ideal": round(ideal([end - start for start, end in zip(created, ends, strict=True)], load.slots), 1),
        "kling": round(max(ends) - min(created), 1),  # from the start of the first task to the end of the last one
        "requests": {kind: kinds[kind] for kind in API_REQUESTS},
        "requests_per_video": round(sum(kinds[kind] for kind in API_REQUESTS) / load.videos, 3),
        "refused": round(refused / max(1, kinds["create"]), 4),
    }
    if load.slots < load.videos:
        metrics["slot_use"] = round(slot_use(kling.slot_use, load.slots, min(created), max(created)), 4)
    start = min(created)
    metrics["slots_over_time"] = [(round(moment - start, 2), used) for moment, used in kling.slot_use]
    return metrics
