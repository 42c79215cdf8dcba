"""Measures what importing the operators costs a DAG file in addition to Airflow's own imports.

`python imports.py` prints JSON.
"""

from __future__ import annotations

import json
import sys
import time

import airflow.sdk
from airflow.providers.common.compat.sdk import BaseOperator  # imported by every provider  # noqa: F401

LAZY = ("DAG", "BaseOperator", "BaseSensorOperator", "BaseOperatorLink", "dag", "task", "task_group", "Param")

if __name__ == "__main__":
    for name in LAZY:  # airflow.sdk imports its parts lazily; a DAG file uses these
        getattr(airflow.sdk, name)
    before, started = set(sys.modules), time.perf_counter()
    from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator  # noqa: F401
    from airflow_provider_kling.sensors import KlingTaskSensor  # noqa: F401

    milliseconds = 1000 * (time.perf_counter() - started)
    print(json.dumps({"milliseconds": round(milliseconds, 1), "modules": len(set(sys.modules) - before)}))
