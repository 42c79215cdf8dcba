"""Measures a large manifest: `python manifests.py read|batch <rows>` prints JSON.

`read` reads and checks all rows. `batch` runs the task of a KlingEffectBatchOperator over them and measures the peak memory
of this process.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import paths  # noqa: F401 - for task_runs
from accounts import Load, open_account
from machine import newest_child

SECONDS = 5.0  # that a Kling task takes


def write_manifest(folder: Path, rows: int) -> Path:
    path = folder / "manifest.csv"
    with path.open("w") as file:
        file.write("id,effect_scene,image\n")
        for number in range(rows):
            file.write(f"r{number},squish,https://example.com/photos/{number}.jpg\n")
    return path


def read(rows: int, folder: Path) -> dict[str, Any]:
    from airflow_provider_kling.manifests import ManifestFile

    path = write_manifest(folder, rows)
    started = time.perf_counter()
    with ManifestFile(str(path)) as manifest:
        count = sum(1 for _ in manifest.rows())
    took = time.perf_counter() - started
    return {"rows": count, "took": round(took, 2), "rows_per_second": round(count / took)}


def batch(rows: int, folder: Path) -> dict[str, Any]:
    from airflow.sdk import DAG
    from task_runs import FakeAirflow

    from airflow_provider_kling.operators import KlingEffectBatchOperator

    path = write_manifest(folder, rows)
    kling = open_account(Load(rows, SECONDS))
    try:
        os.environ["AIRFLOW_CONN_KLING_DEFAULT"] = kling.connection()
        started, cpu = time.perf_counter(), time.process_time()
        emulator = newest_child("airflow_provider_kling.emulator")
        emulator_cpu = sum(emulator.cpu_times()[:2])
        with DAG("benchmark"):
            operator = KlingEffectBatchOperator(task_id="batch", manifest=str(path), results=str(folder / "out"), save_to=None)
        airflow = FakeAirflow()
        airflow.finish(operator)
        took = time.perf_counter() - started
        return {
            "rows": rows,
            "succeeded": airflow.result["succeed"],
            "took": round(took, 1),
            "cpu_per_video": round((time.process_time() - cpu) / rows, 4),
            "emulator_core": round((sum(emulator.cpu_times()[:2]) - emulator_cpu) / took, 3),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
    finally:
        kling.stop()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps({"read": read, "batch": batch}[sys.argv[1]](int(sys.argv[2]), Path(name))))
