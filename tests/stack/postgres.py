"""A temporary PostgreSQL server, from the system's packages."""

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


def program_folder() -> Path:
    """The folder with the programs of the newest installed PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise RuntimeError("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    return found[-1].parent


class Postgres:
    """A server on a free port of 127.0.0.1. It accepts local connections without a password."""

    def __init__(self, *, environment: Mapping[str, str], log: Path) -> None:
        # PostgreSQL does not run as root, and its own user may not be able to read the folder that the tests use.
        self._owner: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            self._owner = {"user": user.pw_uid, "group": user.pw_gid}
        self._data = Path(tempfile.mkdtemp(prefix="kling-postgres-"))
        if self._owner:
            os.chown(self._data, self._owner["user"], self._owner["group"])
        self.port = free_port()
        command = [
            str(program_folder() / "initdb"),
            "-D",
            str(self._data),
            "-U",
            "airflow",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        subprocess.run(command, env=dict(environment), cwd="/", check=True, capture_output=True, **self._owner)
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self._data,
            "max_connections": 200,
        }
        server = [
            str(program_folder() / "postgres"),
            "-D",
            str(self._data),
            *(f"--{name}={value}" for name, value in options.items()),
        ]
        self.process = Process("postgres", server, environment=environment, log=log, cwd="/", **self._owner)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> Postgres:
        self.process.start()
        until("PostgreSQL answers", self._is_up, describe=self.process.tail)
        return self

    def create(self, database: str) -> None:
        self.query("postgres", f"create database {database}")

    def query(self, database: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        with contextlib.closing(psycopg2.connect(host="127.0.0.1", port=self.port, user="airflow", dbname=database)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query, values)
                return cursor.fetchall() if cursor.description else []

    def dump(self, database: str, *, excluding: Collection[str]) -> str:
        """A dump of the database as text, without the rows of the tables in `excluding`."""
        server = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "airflow"]
        excluded = [f"--exclude-table-data={table}" for table in excluding]
        command = [str(program_folder() / "pg_dump"), *server, "--inserts", *excluded, database]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def remove(self) -> None:
        self.process.kill()
        shutil.rmtree(self._data, ignore_errors=True)

    def _is_up(self) -> bool:
        try:
            self.query("postgres", "select 1")
        except psycopg2.OperationalError:
            return False
        return True
