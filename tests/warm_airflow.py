"""A process that has imported Airflow, and forks for each command: most of what a short `airflow` command costs is its imports.

The process reads a command from each line of its input, runs it in a child and answers with its exit code. A child is what a new
process would be: it has this package yet to import, the environment of its command, and the database that this names.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# What a child sets anew. Airflow reads all its other settings when it is imported.
OF_EACH_COMMAND = ("AIRFLOW__CORE__DAGS_FOLDER", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")


def settings_of(environment: Mapping[str, str]) -> dict[str, str]:
    """What Airflow reads when it is imported."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith("AIRFLOW") and not name.startswith(("AIRFLOW_CONN_", "AIRFLOW_VAR_")) and name not in OF_EACH_COMMAND
    }


class WarmAirflow:
    """The process, as the tests use it. It ends with `close`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.home = Path(environment["AIRFLOW_HOME"])
        self.settings = settings_of(environment)
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> tuple[int, str]:
        """The exit code and the output of an `airflow` command."""
        assert settings_of(environment) == self.settings
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
            command = {"arguments": arguments, "environment": dict(environment), "folder": str(folder), "output": output.name}
            self._process.stdin.write(f"{json.dumps(command)}\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            return code, output.read()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    answers = os.dup(1)
    os.dup2(2, 1)  # Airflow logs to the standard output, even when it is imported
    warm_up()
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            os.close(answers)
            run(**json.loads(line))
            return
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.write(answers, f"{code}\n".encode())


def warm_up() -> None:
    """Import and build what `airflow dags test` needs, but for this package."""
    import aiohttp  # noqa: F401
    import airflow.__main__
    import airflow.cli.commands.dag_command
    import airflow.sdk.execution_time.task_runner  # noqa: F401
    import alembic.context  # noqa: F401
    import PIL.Image  # noqa: F401
    import requests  # noqa: F401
    import sqlalchemy.orm
    from airflow.sdk.execution_time import supervisor

    app = supervisor.in_process_api_server().app
    asyncio.run(ask(app))
    sqlalchemy.orm.configure_mappers()
    assert threading.active_count() == 1, threading.enumerate()
    assert "airflow_provider_kling.operators" not in sys.modules


async def ask(app: Any) -> None:
    """Ask the API of the tasks for something that it does not have: it builds its routes at the first request."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(_: Any) -> None:
        pass

    places = {"path": "/nothing", "raw_path": b"/nothing", "root_path": "", "query_string": b"", "server": ("localhost", 80)}
    await app({"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "headers": [], **places}, receive, send)


def run(arguments: list[str], environment: dict[str, str], folder: str, output: str) -> None:
    """The command, in the child: as `python -m airflow` runs it."""
    from airflow import settings
    from airflow.__main__ import main as command

    file = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv[1:] = arguments
    whole: Any = settings
    whole.dispose_orm()
    whole.configure_vars()
    whole.configure_orm()
    command()


if __name__ == "__main__":
    main()
