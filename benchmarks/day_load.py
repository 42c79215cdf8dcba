"""The load of a day: how many videos, when their manifests arrive, over how many accounts. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

DAY = 86_400.0  # seconds
HOURS = 24
PEAK_HOUR, SWING = 14, 0.5  # the busiest hour brings 1.5 times the mean, the quietest half of it
MAPPED_SPREAD = 0.5  # the share of an hour within which the rows of its manifest start, if they are mapped
MAP_LENGTH = 1024  # [core] max_map_length

Way = Literal["batch", "mapped"]


@dataclass(frozen=True)
class DayLoad:
    """So many videos in a day, made with equal accounts.

    `length` is the day's length in seconds: a shorter day has the same 24 manifests, closer together.
    `utilization` is the share of all slot-seconds that the day's videos need.
    """

    videos: int
    way: Way
    slots: int = 20
    seconds: float = 180.0
    utilization: float = 0.85
    triggerers: int = 1
    length: float = DAY
    manifests: int = HOURS
    all_accounts: int = 0  # 0: as many as `utilization` asks for

    def __str__(self) -> str:
        return f"{self.videos:,} a day, {self.way}"

    @property
    def accounts(self) -> int:
        return self.all_accounts or accounts_needed(self.videos, self.slots, self.seconds, self.utilization, self.length)

    def of_account(self, number: int) -> int:
        """How many videos this account makes. Together they make all."""
        share, rest = divmod(self.videos, self.accounts)
        return share + (number < rest)

    def with_triggerers(self, triggerers: int) -> DayLoad:
        return replace(self, triggerers=triggerers)


def accounts_needed(videos: int, slots: int, seconds: float, utilization: float, length: float = DAY) -> int:
    """The fewest accounts of `slots` slots for which the videos take at most this share of the day."""
    return max(1, math.ceil(videos * seconds / (length * slots * utilization)))


def weights(manifests: int = HOURS) -> list[float]:
    """The share of the day's videos that each manifest brings."""
    raw = [1 + SWING * math.cos(2 * math.pi * (HOURS * number / manifests - PEAK_HOUR) / HOURS) for number in range(manifests)]
    return [each / sum(raw) for each in raw]


def manifest_sizes(videos: int, manifests: int = HOURS) -> list[int]:
    """How many rows each manifest of the day has; their sum is `videos`."""
    sizes, cumulated, given = [], 0.0, 0
    for weight in weights(manifests):
        cumulated += weight
        upto = round(cumulated * videos)
        sizes.append(upto - given)
        given = upto
    return sizes


def arrivals(load: DayLoad, videos: int) -> Iterator[tuple[float, int]]:
    """The second at which each row of an account arrives, and the number of its manifest.

    The rows of a batch arrive together. Mapped ones start one after another, because workers start them.
    """
    pause = load.length / load.manifests
    for manifest, size in enumerate(manifest_sizes(videos, load.manifests)):
        for row in range(size):
            spread = MAPPED_SPREAD * pause * row / size if load.way == "mapped" else 0.0
            yield manifest * pause + spread, manifest


def dag_runs(load: DayLoad) -> int:
    """How many DAG runs the day has: one for each manifest of each account, more if a manifest is longer than Airflow maps."""
    runs = 0
    for number in range(load.accounts):
        for size in manifest_sizes(load.of_account(number), load.manifests):
            runs += math.ceil(size / MAP_LENGTH) if load.way == "mapped" else bool(size)
    return runs
