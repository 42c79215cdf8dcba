"""A real Airflow that a browser looks at: an API server on a free port, and DAG runs against an emulated account."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import requests

ROOT = Path(__file__).resolve().parents[2]


class PictureAirflow:
    """An Airflow in a folder, whose API server runs between `start` and `stop`. It knows the connection of one emulator."""

    def __init__(self, home: Path, connection: str, dags: Path) -> None:
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        self.environment = {
            **kept,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests, as long as the hashes that it is used for",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW_CONN_KLING_DEFAULT": connection,
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
        }
        self._server: subprocess.Popen[bytes] | None = None

    def migrate(self) -> None:
        """Make the database."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "passwords.json").write_text(json.dumps({"admin": "admin"}))
        assert self._airflow("db", "migrate").wait() == 0, self.log("airflow.log")

    def start(self) -> None:
        """Start the API server."""
        self._server = self._airflow("api-server", "--port", str(self.port), "--host", "127.0.0.1", log="server.log")

    def wait_until_up(self) -> None:
        """Return as soon as the API server answers."""
        for _ in _patiently(self._server, self.home / "server.log"):
            with contextlib.suppress(requests.ConnectionError):
                requests.get(f"{self.url}/api/v2/version", timeout=30).raise_for_status()
                return

    def stop(self) -> None:
        if self._server is not None:
            os.killpg(self._server.pid, signal.SIGTERM)
            self._server.wait(30)

    def __enter__(self) -> PictureAirflow:
        self.migrate()
        self.start()
        self.wait_until_up()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _airflow(self, *arguments: str, log: str = "airflow.log") -> subprocess.Popen[bytes]:
        with (self.home / log).open("ab") as output:
            command = [sys.executable, "-m", "airflow", *arguments]
            return subprocess.Popen(
                command,
                env=self.environment,
                cwd=self.home,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def log(self, name: str) -> str:
        """The end of what a process has said."""
        return (self.home / name).read_text(errors="replace")[-6000:]

    def token(self) -> str:
        """What the cookie `_token` of a user with all rights has to be."""
        answer = requests.post(f"{self.url}/auth/token", json={"username": "admin", "password": "admin"}, timeout=60)
        return str(answer.json()["access_token"])

    @contextlib.contextmanager
    def running(self, dag_id: str, conf: Mapping[str, Any]) -> Iterator[DagRun]:
        """A run of a DAG that goes on in the meantime, as `airflow dags test` makes it."""
        known = self._run_ids(dag_id)
        log = f"{dag_id}-{len(known)}.log"
        process = self._airflow("dags", "test", dag_id, "--conf", json.dumps(conf), log=log)
        try:
            for _ in _patiently(process, self.home / log):
                if new := self._run_ids(dag_id) - known:
                    yield DagRun(process, dag_id, new.pop())
                    return
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(30)

    def run(self, dag_id: str, conf: Mapping[str, Any]) -> DagRun:
        """Run a DAG to its end."""
        with self.running(dag_id, conf) as run:
            run.process.wait(600)
        return run

    def _run_ids(self, dag_id: str) -> set[str]:
        with contextlib.closing(sqlite3.connect(self.home / "airflow.db")) as database:
            return {str(row[0]) for row in database.execute("select run_id from dag_run where dag_id = ?", (dag_id,))}


class DagRun(NamedTuple):
    """A DAG run, and the process that runs it."""

    process: subprocess.Popen[bytes]
    dag_id: str
    run_id: str

    @property
    def tab(self) -> str:
        """Where Airflow's UI shows the videos of the run."""
        return f"/dags/{self.dag_id}/runs/{quote(self.run_id, safe=':+')}/plugin/kling-videos"

    @property
    def page(self) -> str:
        """The page within the tab."""
        return f"/kling/videos?dag_id={quote(self.dag_id)}&{self.query}"

    @property
    def query(self) -> str:
        """The run in the addresses of the plugin's data."""
        return f"run_id={quote(self.run_id, safe='')}"


def _patiently(process: subprocess.Popen[bytes] | None, log: Path) -> Iterator[None]:
    """Turns until something has happened; AssertionError with the log where the process has ended or takes too long."""
    deadline = time.monotonic() + 180
    while process is not None and process.poll() is None and time.monotonic() < deadline:
        yield
        time.sleep(0.2)
    raise AssertionError(log.read_text(errors="replace")[-6000:])
