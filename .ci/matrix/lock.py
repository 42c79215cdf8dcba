"""Writes the lock of each Airflow: `lock.py uv pip compile …`, the command that resolves the project's own dependencies.

A lock holds the newest patch. uv takes a pre-release where nothing else fits: of an Airflow that is not on the index yet.
"""

from __future__ import annotations

import subprocess
import sys

from versions import AIRFLOWS

for airflow in AIRFLOWS:
    constraints = "\n".join([f"apache-airflow=={airflow.version}.*", *airflow.constraints])
    command = [*sys.argv[1:], "--python-version", airflow.pythons[0], "--constraint", "-", "--output-file", str(airflow.lock)]
    subprocess.run(command, input=constraints, text=True, check=True)
