"""A handle to an emulator: starts it in a thread or a process, and steers it over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from http.client import HTTPConnection
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from airflow_provider_kling.emulator.connection import connection
from airflow_provider_kling.emulator.model import ENV_PREFIX, Settings, to_arguments


class Runner(Protocol):
    """Where an emulator runs."""

    def start(self) -> str: ...

    def stop(self) -> None: ...


class KlingEmulator:
    """An emulator on a free port, in a thread of this process (or another process: `KlingEmulator.spawn`).

    A context manager; options are those of `Settings`. All methods may be called from any thread.
    """

    def __init__(self, *, runner: Runner | None = None, **options: Any) -> None:
        self.settings = Settings(**{"port": 0, **options})
        self._runner = runner
        self._url = ""

    @classmethod
    def spawn(cls, **options: Any) -> KlingEmulator:
        """The same in a process of its own, which leaves this one its whole core."""
        emulator = cls(**options)
        emulator._runner = _Process(emulator.settings)
        return emulator

    def start(self) -> KlingEmulator:
        """Start it; it answers when this returns."""
        if self._runner is None:
            from airflow_provider_kling.emulator.web import ServerThread

            self._runner = ServerThread(self.settings)
        self._url = self._runner.start()
        return self

    def stop(self) -> None:
        """End it, with all that it knows."""
        if self._runner is not None:
            self._runner.stop()

    def __enter__(self) -> KlingEmulator:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    # --- Where it is and who may ask --------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Its base URL."""
        if not self._url:
            raise RuntimeError("The emulator was not started; use it in a `with` statement, or call start().")
        return self._url

    @property
    def api_key(self) -> str:
        return self.settings.api_key[0]

    @property
    def access_key(self) -> str:
        return self.settings.access_key[0].split(":", 1)[0]

    @property
    def secret_key(self) -> str:
        return self.settings.access_key[0].split(":", 1)[1]

    def connection(self, auth: str = "api_key") -> str:
        """The value for AIRFLOW_CONN_KLING_DEFAULT; `auth` is api_key or access_key."""
        return connection(self.settings, self.url, auth=auth)

    # --- What went on -----------------------------------------------------------------------------------------

    @property
    def state(self) -> dict[str, Any]:
        """Clock, counts and settings."""
        return dict(self._ask("GET", "state"))

    @property
    def ledger(self) -> list[dict[str, Any]]:
        """Every task ever made, the oldest first."""
        return list(self._ask("GET", "ledger"))

    @property
    def journal(self) -> list[dict[str, Any]]:
        """Every request, the oldest first."""
        return self.requests()

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """All tasks as the API shows them, the oldest first."""
        return list(self._ask("GET", "tasks"))

    @property
    def slot_use(self) -> list[tuple[float, int]]:
        """Each moment at which the number of running tasks changed, with the number from then on."""
        return [(moment, used) for moment, used in self._ask("GET", "slots")]

    def requests(self, kind: str = "", *, since: int = 0) -> list[dict[str, Any]]:
        """The journal's entries of one kind (create, get, list, costs, video, callback), or all."""
        return list(self._ask("GET", "journal", params={"kind": kind, "since": str(since)}))

    # --- What goes wrong --------------------------------------------------------------------------------------

    def fault(self, what: int | str, **options: Any) -> None:
        """Let requests fail: an error code, an HTTP status, drop, cut, html, empty, slow or token.

        Options are those of `faults.Fault`: on, match, times (None: all), skip, rate, after, code, status, message,
        body, retry_after, seconds.
        """
        self._ask("POST", "faults", {"what": what, **options})

    def clear_faults(self) -> None:
        """Nothing fails any more."""
        self._ask("DELETE", "faults")

    def plan(self, **options: Any) -> None:
        """What becomes of the next task, or of several; options are those of `task.Plan`:
        match, times (None: all), duration, never, fail, status."""
        self._ask("POST", "plans", options)

    def fail_next(self, message: str = "Task failed", *, match: str = "", times: int | None = 1) -> None:
        """Let the next task whose scene or external id contains `match` end as failed."""
        self.plan(fail=message, match=match, times=times)

    # --- What becomes of tasks that are there -----------------------------------------------------------------

    def finish(self, any_id: str | None = None) -> None:
        """End a task now, or all of them."""
        self._ask("POST", "finish", {"id": any_id})

    def fail(self, any_id: str, message: str = "Task failed") -> None:
        """End a task now, as failed."""
        self._ask("POST", "fail", {"id": any_id, "message": message})

    def hold(self, any_id: str) -> None:
        """Let a task never end."""
        self._ask("POST", "hold", {"id": any_id})

    def forget(self, any_id: str) -> None:
        """Let a task vanish from all queries."""
        self._ask("POST", "forget", {"id": any_id})

    def show_status(self, any_id: str, word: str | None) -> None:
        """Let a task show this word for its status, or its own again."""
        self._ask("POST", "status", {"id": any_id, "status": word})

    def expire_links(self, any_id: str | None = None) -> None:
        """Kill the links that were given out for a task, or for all; a new query gives others."""
        self._ask("POST", "expire_links", {"id": any_id})

    # --- The account and its time -----------------------------------------------------------------------------

    def advance(self, seconds: float) -> float:
        """Move the account's time forward; returns it."""
        return float(self._ask("POST", "clock", {"advance": seconds})["now"])

    def occupy(self, slots: int) -> None:
        """Let other programs take so many slots; 0 gives them back."""
        self._ask("POST", "occupy", {"slots": slots})

    def configure(self, **settings: Any) -> None:
        """Change settings: slots, duration, speed, units, list_order, …"""
        self._ask("POST", "settings", settings)

    def reset(self) -> None:
        """As after the start: no tasks, no faults, the first settings, an empty journal."""
        self._ask("POST", "reset")

    def _ask(self, method: str, verb: str, body: Any = None, *, params: Mapping[str, str] | None = None) -> Any:
        # Not with urllib: it would go through a proxy that the environment names.
        address = urlsplit(self.url)
        http = HTTPConnection(address.hostname or "", address.port, timeout=60)
        try:
            query = f"?{urlencode(params)}" if params else ""
            http.request(method, f"/_emulator/{verb}{query}", body=json.dumps(body or {}))
            answer = http.getresponse()
            document = json.loads(answer.read())
        finally:
            http.close()
        if answer.status != 200:
            raise ValueError(document["error"])
        return document


class _Process:
    """`python -m airflow_provider_kling.emulator`, with its URL read from the line that it prints."""

    def __init__(self, settings: Settings) -> None:
        self._command = [sys.executable, "-m", "airflow_provider_kling.emulator", *to_arguments(settings)]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        # The settings alone decide, not the variables that are meant for the command.
        environ = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, env=environ)  # noqa: S603
        if self._process.stdout is None:
            raise RuntimeError("The emulator's output is not to be read.")
        line = self._process.stdout.readline()
        if not line.startswith("Kling emulator on "):
            self.stop()
            raise RuntimeError("The emulator did not start; it has said why.")
        return line.split()[3].rstrip(";")

    def stop(self) -> None:
        if self._process is not None:
            with self._process as process:  # closes its output, and waits
                process.terminate()
