"""Writes the lock of each Airflow: `lock.py uv pip compile …`, the command that resolves the project's own dependencies.

A lock holds the newest patch. Only while there is none, the newest pre-release.
"""

from __future__ import annotations

import subprocess
import sys

from versions import AIRFLOWS, Airflow

# The packages that are Airflow itself, and the minor version of each in Airflow 3.N.
OWN_PACKAGES = {"apache-airflow": "3.{0}", "apache-airflow-core": "3.{0}", "apache-airflow-task-sdk": "1.{0}"}


def write(airflow: Airflow, command: list[str]) -> None:
    compile_ = [*command, "--python-version", airflow.pythons[0], "--output-file", str(airflow.lock)]
    released = f"apache-airflow=={airflow.version}.*"
    wanted = "\n".join([released, *airflow.constraints])
    done = subprocess.run([*compile_, "--constraint", "-"], input=wanted, text=True, capture_output=True, check=False)
    if done.returncode == 0:
        return
    print(f"Airflow {airflow.version}: {released} cannot be resolved, so a pre-release is tried.\n{done.stderr}", file=sys.stderr)
    minor = int(airflow.version.partition(".")[2])
    versions = {name: (pattern.format(minor), pattern.format(minor + 1)) for name, pattern in OWN_PACKAGES.items()}
    # As requirements, not as constraints: uv permits pre-releases of those packages alone that are named with one.
    wanted = "\n".join([f"{name}>={low}.0a0,<{high}.0a0" for name, (low, high) in versions.items()] + list(airflow.constraints))
    subprocess.run([*compile_, "--prerelease", "if-necessary-or-explicit", "-"], input=wanted, text=True, check=True)


if __name__ == "__main__":
    for airflow in AIRFLOWS:
        write(airflow, sys.argv[1:])
