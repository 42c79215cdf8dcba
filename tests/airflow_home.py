"""A separate Airflow home, for tests that use the command line as a user does."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from places import ROOT
from warm_airflow import WarmAirflow, settings_of


class Airflow:
    """An Airflow home with a database of its own. Call it with the arguments of an `airflow` command."""

    def __init__(self, home: Path, database: Path, *, warm: WarmAirflow | None = None) -> None:
        """`database` is copied. With `warm`, the home is that of the process that runs the commands."""
        self.home = home
        self.dags = ROOT / "dags"
        self.warm = warm
        shutil.copy(database, self.database)

    @property
    def database(self) -> Path:
        return self.home / "airflow.db"

    def __call__(self, *arguments: str) -> str:
        """Run a command and return its output; AssertionError if it fails."""
        environment = environment_of(self.home, self.database, dags=self.dags)
        if self.warm:
            environment["AIRFLOW_HOME"] = str(self.warm.home)
        if self.warm and settings_of(environment) == self.warm.settings:
            code, output = self.warm.run(arguments, environment, self.home)
        else:
            code, output = run(arguments, environment, self.home)
        assert code == 0, output[-6000:]
        return output

    def tries(self, dag_id: str) -> list[tuple[str, str, int]]:
        """The task id, state and try number of each task instance in the database."""
        with sqlite3.connect(self.database) as database:
            query = "select task_id, state, try_number from task_instance where dag_id = ? order by task_id, {}"
            columns = [column[1] for column in database.execute("pragma table_info(task_instance)")]
            index = "map_index" if "map_index" in columns else "region_index"  # since Airflow 3.4
            return database.execute(query.format(index), (dag_id,)).fetchall()


def environment_of(home: Path, database: Path, *, dags: Path) -> dict[str, str]:
    return unmeasured(os.environ) | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
    }


def unmeasured(environment: Mapping[str, str]) -> dict[str, str]:
    """Without coverage, which costs half as much again: most of what a process of Airflow runs is Airflow."""
    return {name: value for name, value in environment.items() if not name.startswith("COVERAGE_")}


@contextlib.contextmanager
def warm(home: Path, **settings: str) -> Iterator[WarmAirflow]:
    """A process for the commands of several tests."""
    process = WarmAirflow(environment_of(home, home / "airflow.db", dags=ROOT / "dags") | settings)
    try:
        yield process
    finally:
        process.close()


def run(arguments: tuple[str, ...], environment: dict[str, str], folder: Path) -> tuple[int, str]:
    """The exit code and the output of an `airflow` command in a process of its own."""
    command = [sys.executable, "-m", "airflow", *arguments]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def migrated(factory: pytest.TempPathFactory) -> Path:
    """A database with Airflow's tables, to be copied. All processes of a session share one."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    database = folder / "migrated.db"
    with (folder / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            new = factory.mktemp("migrated")
            code, output = run(("db", "migrate"), environment_of(new, new / "airflow.db", dags=new), new)
            assert code == 0, output[-6000:]
            os.replace(new / "airflow.db", database)
    return database
