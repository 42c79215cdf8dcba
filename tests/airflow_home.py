"""A separate Airflow home, for tests that use the command line as a user does."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from places import ROOT


class Airflow:
    """An Airflow home with a database of its own. Call it with the arguments of an `airflow` command."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.dags = ROOT / "dags"
        self("db", "migrate")

    def __call__(self, *arguments: str) -> str:
        """Run a command and return its output; AssertionError if it fails."""
        environment = os.environ | {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
        }
        run = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, (run.stdout + run.stderr)[-6000:]
        return run.stdout + run.stderr

    def tries(self, dag_id: str) -> list[tuple[str, str, int]]:
        """The task id, state and try number of each task instance in the database."""
        with sqlite3.connect(self.home / "airflow.db") as database:
            query = "select task_id, state, try_number from task_instance where dag_id = ? order by task_id, map_index"
            return database.execute(query, (dag_id,)).fetchall()
