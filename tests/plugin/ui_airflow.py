"""A real Airflow for a browser: an API server of its own on a free port, with users, and DAG runs against an emulated account."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

READER = "reader"  # may read all DAGs
STRANGER = "stranger"  # may log in, and nothing else
_PASSWORDS = {READER: "reads", STRANGER: "waits"}


def chromium() -> str | None:
    """The path of Debian's Chromium; None where it is not installed."""
    return shutil.which("chromium")


class UiAirflow:
    """An Airflow in a folder, whose API server runs between `start` and `stop`. It knows the connection of one emulator."""

    def __init__(self, home: Path, connection: str, *, dags: Path = ROOT / "dags", path: str = "") -> None:
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}{path}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        self.environment = {
            **kept,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{READER}:viewer,{STRANGER}:",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests, which is long enough for all of the hashes that it is used for",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW_CONN_KLING_DEFAULT": connection,
        }
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the database and start the API server. It answers when this returns."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "passwords.json").write_text(json.dumps(_PASSWORDS))
        assert self._airflow("db", "migrate").wait() == 0, self.log("airflow.log")
        self._server = self._airflow("api-server", "--port", str(self.port), "--host", "127.0.0.1", log="server.log")
        deadline = time.monotonic() + 120
        while not self._answers():
            assert self._server.poll() is None and time.monotonic() < deadline, self.log("server.log")
            time.sleep(0.2)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{self.url}/api/v2/version", timeout=5).close()
            return True
        return False

    def stop(self) -> None:
        if self._server is not None:
            os.killpg(self._server.pid, signal.SIGTERM)
            self._server.wait(30)

    def __enter__(self) -> UiAirflow:
        self.start()
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

    def token(self, user: str) -> str:
        """What the cookie `_token` of a user has to be."""
        body = json.dumps({"username": user, "password": _PASSWORDS[user]}).encode()
        request = urllib.request.Request(f"{self.url}/auth/token", data=body, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return str(json.load(response)["access_token"])

    @contextlib.contextmanager
    def running(self, dag_id: str, conf: Mapping[str, Any], date: str) -> Iterator[subprocess.Popen[bytes]]:
        """A run of a DAG that goes on in the meantime, as `airflow dags test` makes it."""
        run = self._airflow("dags", "test", dag_id, date, "--conf", json.dumps(conf), log=f"{dag_id}-{date}.log")
        try:
            yield run
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGTERM)
                run.wait(30)

    def run(self, dag_id: str, conf: Mapping[str, Any], date: str) -> str:
        """Run a DAG to its end, for a logical date like 2026-11-26; returns the run id."""
        with self.running(dag_id, conf, date) as run:
            run.wait(600)
        return self.run_id(dag_id, date)

    def run_id(self, dag_id: str, date: str) -> str:
        """The id of the run of a date; waits until there is one."""
        deadline = time.monotonic() + 120
        query = "select run_id from dag_run where dag_id = ? and logical_date like ?"
        while True:
            with contextlib.closing(sqlite3.connect(self.home / "airflow.db")) as database:
                found = database.execute(query, (dag_id, f"{date}%")).fetchone()
            if found:
                return str(found[0])
            assert time.monotonic() < deadline, self.log(f"{dag_id}-{date}.log")
            time.sleep(0.2)
