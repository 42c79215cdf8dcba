"""Runs a load of videos through a DAG in a complete Airflow: PostgreSQL, LocalExecutor, one triggerer."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from accounts import Load, account_metrics, open_account
from airflow_api import Run
from machine import cpu, newest_child
from stack import MODULES, Stack

DAGS = Path(__file__).parent / "dags"
SHARED = "shared"
PARALLELISM = 16
# The tests' stack shortens timeouts and intervals. These are Airflow's own defaults again. As there, workers send a heartbeat each
# second, as docs/production/airflow.md advises; so does the triggerer; and no DAG file is parsed again during a measurement.
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

# Each way to run a load, and its DAG. The hand-written ones do not use this package.
WAYS = {
    "batch": "kling_effects_batch",
    "mapped": "one_operator_a_row",
    "mapped, ended by workers": "one_operator_a_row_ended_by_workers",
    "mapped, two tasks a row": "kling_effects_mapped",
    "hand-written: blocking tasks": "hand_written_blocking",
    "hand-written: HTTP operator and sensor": "hand_written_http",
    "hand-written: deferrable operator": "hand_written_deferrable",
    "hand-written: one task, one poller": "hand_written_poller",
}

_numbers = itertools.count(1)


@contextlib.contextmanager
def airflow(home: Path, *, preload: bool = False) -> Iterator[Stack]:
    """An Airflow in `home / "airflow"`. The runs have their files in `home / "runs"`, with the results in a shared folder there.

    Without `preload`, each task pays for the imports of its DAG file, as it does for users who have changed nothing.
    """
    importable = os.pathsep.join(map(str, (DAGS, MODULES)))  # the triggerer imports hand-written triggers by module
    options = {**OPTIONS, "PYTHONPATH": importable, "AIRFLOW__KLING__SHARED_FOLDERS": str(home / "runs" / SHARED)}
    with Stack(home / "airflow", dags=DAGS, options=options, triggerers=1, preload=preload) as stack:
        # A triggerer's first lookup of a connection takes seconds, so that is done before the measurements.
        measure(stack, "mapped", Load(2, 1), home / "runs")
        yield stack


def measure(stack: Stack, way: str, load: Load, folder: Path) -> dict[str, Any]:
    """Run the load once in this way. Returns seconds, shares and counts."""
    name = f"run-{next(_numbers)}"
    manifest = write_manifest(folder / name, load.videos)
    kling = open_account(load)
    try:
        stack.connect(name, kling.connection())
        stack.connect(f"{name}_http", json.dumps({**json.loads(kling.connection()), "conn_type": "http", "extra": "{}"}))
        emulator = newest_child("airflow_provider_kling.emulator")
        cpu_before, emulator_before = cpu_by_component(stack), cpu([emulator])
        conf = {"manifest": str(manifest), "output": str(folder / SHARED / name), "kling_conn_id": name}
        run = stack.start_run(WAYS[way], conf)
        state = run.until_done(timeout=90 + 20 * load.seconds + 2 * load.videos)
        used = {component: seconds - cpu_before[component] for component, seconds in cpu_by_component(stack).items()}
        emulator_used = cpu([emulator]) - emulator_before
        took, account = duration(run), account_metrics(kling, load)
        database = used.pop("postgres")
        return {
            "state": state,
            "finished": sum(task["status"] == "succeed" for task in kling.ledger),
            "took": round(took, 1),
            **({"makespan": round(took / account["ideal"], 3)} if "ideal" in account else {}),
            "cpu_per_video": round(sum(used.values()) / load.videos, 4),
            "cpu": {component: round(seconds, 1) for component, seconds in used.items()} | {"database": round(database, 1)},
            "emulator_core": round(emulator_used / took, 3),
            **account,
        }
    finally:
        kling.stop()


def write_manifest(folder: Path, rows: int) -> Path:
    folder.mkdir(parents=True)
    manifest = folder / "manifest.jsonl"
    images = (f"https://example.com/{number}.jpg" for number in range(rows))
    lines = ({"id": f"r{number}", "effect_scene": "squish", "image": image} for number, image in enumerate(images))
    manifest.write_text("\n".join(map(json.dumps, lines)))
    return manifest


def cpu_by_component(stack: Stack) -> dict[str, float]:
    """The CPU seconds of each component of Airflow and of PostgreSQL so far."""
    return {each.name: cpu([psutil.Process(each.pid)]) for each in [*stack.components, stack.postgres.process]}


def duration(run: Run) -> float:
    """The seconds that a DAG run took."""
    query = "select extract(epoch from end_date - start_date) from dag_run where dag_id = %s and run_id = %s"
    return float(run.stack.sql(query, run.dag_id, run.run_id)[0][0])


def packages_are_compiled() -> bool:
    """Whether Airflow's byte code files exist. Without them, each start of a task takes twice as long."""
    import airflow

    path = Path(os.path.dirname(airflow.__file__))
    return any(path.glob("__pycache__/*.pyc"))
