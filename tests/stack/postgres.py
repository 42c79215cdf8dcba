"""A PostgreSQL server of our own, from the system's packages, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import psycopg2
from processes import Process, free_port, until


def programs() -> Path:
    """Where the newest installed PostgreSQL has its programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise RuntimeError("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    return found[-1].parent


class Postgres:
    """A server on a free port of the loopback; it trusts whoever comes from there."""

    def __init__(self, *, environment: Mapping[str, str], log: Path) -> None:
        # PostgreSQL does not run as root, and its user may not be able to read where the tests write.
        self._owner: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            self._owner = {"user": user.pw_uid, "group": user.pw_gid}
        self._data = Path(tempfile.mkdtemp(prefix="kling-postgres-"))
        if self._owner:
            os.chown(self._data, self._owner["user"], self._owner["group"])
        self.port = free_port()
        command = [str(programs() / "initdb"), "-D", str(self._data), "-U", "airflow", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(command, env=dict(environment), cwd="/", check=True, capture_output=True, **self._owner)
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self._data,
            "max_connections": 200,
        }
        server = [str(programs() / "postgres"), "-D", str(self._data), *(f"--{name}={value}" for name, value in options.items())]
        self.process = Process("postgres", server, environment=environment, log=log, cwd="/", **self._owner)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> Postgres:
        self.process.start()
        until("PostgreSQL answers", self._answers, told=self.process.tail)
        return self

    def create(self, database: str) -> None:
        self.ask("postgres", f"create database {database}")

    def ask(self, database: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with contextlib.closing(psycopg2.connect(host="127.0.0.1", port=self.port, user="airflow", dbname=database)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query, values)
                return cursor.fetchall() if cursor.description else []

    def dump(self, database: str, *, without: Collection[str]) -> str:
        """All that a database holds but the rows of these tables, as text."""
        server = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "airflow"]
        left_out = [f"--exclude-table-data={table}" for table in without]
        command = [str(programs() / "pg_dump"), *server, "--inserts", *left_out, database]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def remove(self) -> None:
        self.process.kill()
        shutil.rmtree(self._data, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            self.ask("postgres", "select 1")
        except psycopg2.OperationalError:
            return False
        return True
