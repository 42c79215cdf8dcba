"""A load of videos through a DAG, in a whole Airflow: PostgreSQL, LocalExecutor, one triggerer."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from accounts import Load, open_account, told
from machine import cpu, process_of
from stack import MODULES, Stack

DAGS = Path(__file__).parent / "dags"
SHARED = "shared"
PARALLELISM = 16
# The stack of the tests has its patience cut short; here Airflow's own defaults hold.
OPTIONS = {
    "AIRFLOW__CORE__PARALLELISM": str(PARALLELISM),
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "1000",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "300",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "300",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "30",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "5",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "30",
}

# Each way, and the DAG that goes it: those of the package, and what DAG authors write for themselves.
WAYS = {
    "batch": "kling_effects_batch",
    "mapped": "one_operator_a_row",
    "mapped, ends in triggerer": "one_operator_a_row_ended_by_the_triggerer",
    "mapped, two tasks a row": "kling_effects_mapped",
    "own: blocking tasks": "own_blocking",
    "own: HTTP operator and sensor": "own_http",
    "own: deferrable operator": "own_deferrable",
    "own: one task, one poller": "own_poller",
}

_numbers = itertools.count(1)


@contextlib.contextmanager
def airflow(home: Path) -> Iterator[Stack]:
    """An Airflow under `home / "airflow"`; runs have their files under `home / "runs"`, results in a shared folder there."""
    importable = os.pathsep.join(map(str, (DAGS, MODULES)))  # the triggerer loads users' own triggers by their module
    # Nothing is imported beforehand for the tasks: what a DAG imports costs each of its tasks, as it does for users.
    options = {**OPTIONS, "PYTHONPATH": importable, "AIRFLOW__KLING__SHARED_FOLDERS": str(home / "runs" / SHARED)}
    with Stack(home / "airflow", dags=DAGS, options=options, triggerers=1, preload="") as stack:
        # A triggerer's first lookup of a connection takes seconds, once in its life.
        measure(stack, "mapped", Load(2, 1), home / "runs")
        yield stack


def measure(stack: Stack, way: str, load: Load, folder: Path) -> dict[str, Any]:
    """One run of the load on this way. Seconds, shares and counts."""
    name = f"run-{next(_numbers)}"
    folder, output = folder / name, folder / SHARED / name
    folder.mkdir(parents=True)
    manifest = folder / "manifest.jsonl"
    rows = (
        {"id": f"r{number}", "effect_scene": "squish", "image": f"https://example.com/{number}.jpg"}
        for number in range(load.videos)
    )
    manifest.write_text("\n".join(map(json.dumps, rows)))
    kling = open_account(load)
    try:
        stack.connect(folder.name, kling.connection())
        stack.connect(f"{folder.name}_http", json.dumps({**json.loads(kling.connection()), "conn_type": "http", "extra": "{}"}))
        emulator = process_of("airflow_provider_kling.emulator")
        processes = {one.name: [psutil.Process(one.pid)] for one in [*stack.components, stack.postgres.process]}
        before = {name: cpu(family) for name, family in processes.items()}
        emulator_before = cpu([emulator])
        conf = {"manifest": str(manifest), "output": str(output), "kling_conn_id": folder.name}
        run = stack.run(WAYS[way], conf)
        state = run.until_done(timeout=20 * load.seconds + 2 * load.videos)
        spent = {name: cpu(family) - before[name] for name, family in processes.items()}
        emulator_spent = cpu([emulator]) - emulator_before
        (took,) = stack.sql(
            "select extract(epoch from end_date - start_date) from dag_run where dag_id = %s and run_id = %s",
            run.dag_id,
            run.run_id,
        )[0]
        kling_told = told(kling, load)
        finished = sum(task["status"] == "succeed" for task in kling.ledger)
        took = float(took)
        database = spent.pop("postgres")
        return {
            "state": state,
            "finished": finished,
            "took": round(took, 1),
            **({"makespan": round(took / kling_told["ideal"], 3)} if "ideal" in kling_told else {}),
            "cpu_per_video": round(sum(spent.values()) / load.videos, 4),
            "cpu": {name: round(seconds, 1) for name, seconds in spent.items()} | {"database": round(database, 1)},
            "emulator_core": round(emulator_spent / took, 3),
            **kling_told,
        }
    finally:
        kling.stop()


def packages_are_compiled() -> bool:
    """Whether Airflow's byte code is there; without it, each start of a task takes twice as long."""
    import airflow

    path = Path(os.path.dirname(airflow.__file__))
    return any(path.glob("__pycache__/*.pyc"))
