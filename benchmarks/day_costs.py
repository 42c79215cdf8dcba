"""What a day needs, from what was simulated and what was measured once. Pure; docs/production/capacity.md explains the numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from day_load import DayLoad, dag_runs, manifest_sizes

# CPU seconds a video, measured: docs/performance.md, "Many at once" (300 mapped rows that the triggerer ends, first run; 1,000
# rows of a batch). A batch was measured as a whole.
MAPPED_CPU = {"scheduler and workers": 45 / 300, "API server": 18 / 300, "triggerers": 19 / 300, "DAG processor": 7 / 300}
MAPPED_CPU["database"] = 10 / 300
BATCH_CPU = {"all of Airflow": 0.0065}
CPU_PER_MANIFEST = 6.3  # of a short manifest, an idle Airflow's share included: `day_check`, 114 CPU-s for 18 manifests
WAITERS = 10_000  # on one event loop, measured: docs/performance.md, "Waiting"
KB_PER_WAITER = 6.1
TRIGGERER_MB = 350  # an idle triggerer with this package: 696 MB for two, docs/compose.md
CORE_USE = 0.6  # the share of a core that is planned for one event loop
FAILOVER = 2  # triggerers at least: the other one takes over

# Assumptions. Your own numbers: kling.bytes_saved / kling.done, and kling.units / kling.done.
MB_PER_VIDEO = 10.0
UNITS_PER_VIDEO = 2.5
START_SECONDS = 2.0  # for which a start of a mapped row holds a worker slot
SAVE_SECONDS = 1.0  # of a video: 10 MB at 10 MB/s
DOWNLOADS = 8  # videos that a batch saves at once
SPARE = 2  # times the worker slots that are busy on average in the busiest hour


@dataclass(frozen=True)
class Machines:
    """How much of what a day needs."""

    waiters: int  # triggers at the busiest moment
    triggerers: int
    triggerer_mb: int  # memory of each
    worker_slots: int  # tasks that run at once on workers
    mean_cores: dict[str, float]
    peak_cores: dict[str, float]  # in the busiest hour
    task_instances: int
    dag_runs: int
    disk_gb: float
    units: float


def backlog(load: DayLoad) -> list[float]:
    """The rows without a video at each manifest of the day, if videos were a fluid: an estimate before anything is simulated.

    Two days are counted, so that the second begins with what the first has left.
    """
    pause, rest, found = load.length / load.manifests, 0.0, []
    capacity = load.accounts * load.slots * pause / load.seconds
    for size in manifest_sizes(load.videos, load.manifests) * 2:
        rest += size
        found.append(rest)
        rest = max(0.0, rest - capacity)
    return found[load.manifests :]


def waiters(load: DayLoad, rows_in_work: float) -> int:
    """How many triggers wait while so many rows are not done: a mapped row is one, a manifest of a batch is one."""
    if load.way == "mapped":
        return math.ceil(rows_in_work)
    pause = load.length / load.manifests
    in_work = math.ceil(rows_in_work / max(1.0, load.videos / load.manifests)) + math.ceil(load.seconds / pause)
    return min(in_work, load.manifests) * load.accounts


def peak_share(load: DayLoad) -> float:
    """How many times the mean rate the largest manifest brings."""
    return max(manifest_sizes(load.videos, load.manifests)) * load.manifests / load.videos


def cpu_per_video(load: DayLoad) -> dict[str, float]:
    """CPU seconds by component. A batch of few rows costs what its manifest costs, however few they are."""
    if load.way == "mapped":
        return MAPPED_CPU
    return {name: max(seconds, CPU_PER_MANIFEST * dag_runs(load) / load.videos) for name, seconds in BATCH_CPU.items()}


def triggerers_needed(load: DayLoad, rows_in_work: float) -> int:
    """By the number of waiters, by CPU, and so that one may die."""
    busiest = MAPPED_CPU["triggerers"] if load.way == "mapped" else BATCH_CPU["all of Airflow"]  # an upper bound
    cores = busiest * load.videos / load.length * peak_share(load)
    return max(FAILOVER, math.ceil(waiters(load, rows_in_work) / WAITERS), math.ceil(cores / CORE_USE))


def worker_slots(load: DayLoad) -> int:
    """For the starts of mapped rows that the triggerer ends, or for the videos that batches save."""
    rate = load.videos / load.length * peak_share(load)
    busy = rate * START_SECONDS if load.way == "mapped" else rate * SAVE_SECONDS / DOWNLOADS
    return max(FAILOVER, math.ceil(SPARE * busy))


def machines(load: DayLoad, rows_in_work: float) -> Machines:
    """What this day needs, if at most so many rows were in work at once."""
    rate, runs = load.videos / load.length, dag_runs(load)
    per_video = cpu_per_video(load)
    count, triggers = triggerers_needed(load, rows_in_work), waiters(load, rows_in_work)
    return Machines(
        waiters=triggers,
        triggerers=count,
        triggerer_mb=round(TRIGGERER_MB + triggers / count * KB_PER_WAITER / 1024),
        worker_slots=worker_slots(load),
        mean_cores={name: round(seconds * rate, 3) for name, seconds in per_video.items()},
        peak_cores={name: round(seconds * rate * peak_share(load), 3) for name, seconds in per_video.items()},
        task_instances=load.videos + 2 * runs if load.way == "mapped" else runs,  # with read and collect
        dag_runs=runs,
        disk_gb=round(load.videos * MB_PER_VIDEO / 1000, 1),
        units=load.videos * UNITS_PER_VIDEO,
    )
