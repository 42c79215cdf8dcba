"""A walk through pages of the docs: their blocks run in one shell, in an empty folder, with a real Airflow.

What a machine that builds this project lacks is put in place of what the pages name, by `substitutes`: a port, the package
index, the host of the photographs, Kling's API. Everything else runs as it stands.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path

from page_blocks import Block, blocks_of, missing_lines
from tutorial_shell import Shell

ROOT = Path(__file__).resolve().parents[2]
STARTS_RUNS = ("airflow dags trigger", "airflow backfill create", "airflow tasks clear", "airflow dags unpause")
NOT_A_FRESH_MACHINES = ("AIRFLOW", "COVERAGE", "KLING", "PYTEST", "PYTHON", "VIRTUAL_ENV")
KEY = "emulator-api-key"


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class Walk:
    """One reader who pastes blocks, and waits where a page says that something takes its time."""

    def __init__(self, folder: Path, install: Mapping[str, str]) -> None:
        """`install` are the substitutes for commands that install something."""
        self.folder = folder / "desk"
        scratch = folder / "blocks"
        self.folder.mkdir(parents=True)
        scratch.mkdir()
        emulator, airflow, bucket, mail, workers, triggerer = free_ports(6)
        self.airflow = f"http://127.0.0.1:{airflow}"
        self.substitutes = {
            **install,
            "https://raw.githubusercontent.com/airflow-provider-kling/airflow-provider-kling/main": ROOT.as_uri(),
            "https://api-singapore.klingai.com": f"http://127.0.0.1:{emulator}",
            "8900": str(emulator),
            "127.0.0.1:8080": f"127.0.0.1:{airflow}",
            "5000": str(bucket),
            "8025": str(mail),
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_A_FRESH_MACHINES)}
        settings = {
            "AIRFLOW__API__PORT": str(airflow),
            "AIRFLOW__API__BASE_URL": self.airflow,
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(workers),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(triggerer),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        self.shell = Shell(self.folder, scratch, {**kept, **settings})

    def read(self, page: Path) -> None:
        """Paste all blocks of a page; AssertionError where a command fails, or prints something else than the page shows."""
        printed = ""
        for block in blocks_of(page):
            if block.language == "bash":
                printed = self.paste(block)
            elif block.language == "text":
                missing = missing_lines(block.text, printed)
                assert not missing, f"{block}: missing {missing} in\n{printed}"

    def paste(self, block: Block) -> str:
        started = time.monotonic()
        text = block.text
        for shown, real in self.substitutes.items():
            text = text.replace(shown, real)
        printed = self.shell.paste(text, typed=f"{KEY}\n" if "read -rs" in text else "")
        if any(command in text for command in STARTS_RUNS):
            self.wait_for_runs()
        print(f"{time.monotonic() - started:6.1f} s  {block}  {text.splitlines()[0][:90]}", flush=True)
        return printed

    def wait_for_runs(self, timeout: float = 240) -> None:
        """Return as soon as no DAG run is under way, as somebody does who looks at Airflow's page."""
        deadline = time.monotonic() + timeout
        while under_way := self._runs_under_way():
            assert time.monotonic() < deadline, f"Still under way: {under_way}"
            time.sleep(0.5)

    def _runs_under_way(self) -> list[tuple[str, ...]]:
        database = self.folder / "kling" / "airflow" / "airflow.db"
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute("select dag_id, run_id, state from dag_run where state in ('queued', 'running')").fetchall()

    def close(self) -> None:
        self.shell.close()
