"""What importing the operators costs a DAG file, beyond Airflow itself: `python imports.py` prints JSON."""

from __future__ import annotations

import json
import sys
import time

import airflow.sdk
from airflow.providers.common.compat.sdk import BaseOperator  # what any provider imports  # noqa: F401

LAZY = ("DAG", "BaseOperator", "BaseSensorOperator", "BaseOperatorLink", "dag", "task", "task_group", "Param")

if __name__ == "__main__":
    for name in LAZY:  # airflow.sdk imports its parts when they are asked for; a DAG file asks for these
        getattr(airflow.sdk, name)
    before, started = set(sys.modules), time.perf_counter()
    import airflow_provider_kling.operators.effect
    import airflow_provider_kling.sensors.task  # noqa: F401

    milliseconds = 1000 * (time.perf_counter() - started)
    print(json.dumps({"milliseconds": round(milliseconds, 1), "modules": len(set(sys.modules) - before)}))
