"""A handle of an emulator: it starts it in a thread or a process, and steers it over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from airflow_provider_kling.api import EFFECTS, Product
from airflow_provider_kling.emulator.connection import connection
from airflow_provider_kling.emulator.model import Settings
from airflow_provider_kling.emulator.options import ENV_PREFIX, to_arguments


class Runner(Protocol):
    """Where an emulator runs."""

    def start(self) -> str: ...

    def stop(self) -> None: ...


class KlingEmulator:
    """An emulator on a free port, in a thread of this process (in another process: `KlingEmulator.spawn`).

    It is a context manager. `options` are those of `Settings`; `products` are what it serves. You may call all methods
    from any thread. Methods that steer it raise ValueError for an unknown task and for invalid options.
    """

    def __init__(self, *, runner: Runner | None = None, products: Sequence[Product] = (EFFECTS,), **options: Any) -> None:
        self.settings = Settings(**{"port": 0, **options})
        self._products = tuple(products)
        self._runner = runner
        self._url = ""

    @classmethod
    def spawn(cls, **options: Any) -> KlingEmulator:
        """An emulator in a process of its own, which takes no processor time from this one. It serves the effects only."""
        return cls(runner=_Process(Settings(**{"port": 0, **options})), **options)

    def start(self) -> KlingEmulator:
        """Start it. It answers when this returns."""
        if self._runner is None:
            from airflow_provider_kling.emulator.web import ServerThread

            self._runner = ServerThread(self.settings, self._products)
        self._url = self._runner.start()
        return self

    def stop(self) -> None:
        """Stop it. Its tasks are lost."""
        if self._runner is not None:
            self._runner.stop()

    def __enter__(self) -> KlingEmulator:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    # --- URL and credentials ------------------------------------------------------------------------------------

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

    # --- Reading ------------------------------------------------------------------------------------------------

    @property
    def state(self) -> dict[str, Any]:
        """Clock, counts and settings."""
        return dict(self._send("GET", "state"))

    @property
    def ledger(self) -> list[dict[str, Any]]:
        """Every task ever made, the oldest first."""
        return list(self._send("GET", "ledger"))

    @property
    def journal(self) -> list[dict[str, Any]]:
        """Every request and callback, the oldest first."""
        return self.requests()

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """All tasks as the API shows them, the oldest first."""
        return list(self._send("GET", "tasks"))

    @property
    def slot_use(self) -> list[tuple[float, int]]:
        """Each moment at which the number of running tasks changed, and the number from then on."""
        return [(moment, used) for moment, used in self._send("GET", "slots")]

    @property
    def packs(self) -> list[dict[str, Any]]:
        """All resource packs as they are now, without delay."""
        return list(self._send("GET", "packs"))

    @property
    def charges(self) -> list[dict[str, Any]]:
        """The whole bill, the oldest charge first, as the billing endpoints show it; `paid_with` is units or money."""
        return list(self._send("GET", "charges"))

    def requests(self, kind: str = "", *, since: int = 0) -> list[dict[str, Any]]:
        """The journal's entries of one kind (create, get, list, costs, billing, video, …), or of all, after number `since`."""
        return list(self._send("GET", "journal", params={"kind": kind, "since": str(since)}))

    # --- Failures to come ---------------------------------------------------------------------------------------

    def fault(self, what: int | str, **options: Any) -> None:
        """Let requests fail: an error code, an HTTP status, drop, cut, html, empty, slow or token.

        Options are those of `emulator.model.Fault`: on, match, times (None: all), skip, rate, after, code, status,
        message, body, retry_after, seconds.
        """
        self._send("POST", "faults", {"what": what, **options})

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._send("DELETE", "faults")

    def plan(self, **options: Any) -> None:
        """Decide how the next task turns out, or the next tasks.

        Options are those of `emulator.model.Plan`: match, times (None: all), duration, never, fail, status.
        """
        self._send("POST", "plans", options)

    def fail_next(self, message: str = "Task failed", *, match: str = "", times: int | None = 1) -> None:
        """Let the next task fail whose scene or external id contains `match`, or the next `times` (None: all)."""
        self.plan(fail=message, match=match, times=times)

    # --- Existing tasks -----------------------------------------------------------------------------------------

    def finish(self, any_id: str | None = None) -> None:
        """End a task now; without an id all tasks."""
        self._send("POST", "finish", {"id": any_id})

    def fail(self, any_id: str, message: str = "Task failed") -> None:
        """End a task now, as failed."""
        self._send("POST", "fail", {"id": any_id, "message": message})

    def hold(self, any_id: str) -> None:
        """Keep a task from ending by itself."""
        self._send("POST", "hold", {"id": any_id})

    def forget(self, any_id: str) -> None:
        """Remove a task from all queries; the ledger keeps it."""
        self._send("POST", "forget", {"id": any_id})

    def show_status(self, any_id: str, word: str | None) -> None:
        """Let answers show this word as a task's status; with None its own status again."""
        self._send("POST", "status", {"id": any_id, "status": word})

    def expire_links(self, any_id: str | None = None) -> None:
        """Let the links to a task's videos expire, or those of all tasks; a new query returns others."""
        self._send("POST", "expire_links", {"id": any_id})

    # --- The account --------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> float:
        """Move the account's time forward, and return it (Unix seconds)."""
        return float(self._send("POST", "clock", {"advance": seconds})["now"])

    def occupy(self, slots: int) -> None:
        """Let other programs use so many slots; 0 frees them."""
        self._send("POST", "occupy", {"slots": slots})

    def configure(self, **settings: Any) -> None:
        """Change settings: slots, duration, speed, units, list_order, …"""
        self._send("POST", "settings", settings)

    def buy_pack(self, units: float | str, **options: Any) -> dict[str, Any]:
        """Buy a resource pack. Options: name, starts_in, expires_in (seconds). Returns it as /account/costs shows it."""
        return dict(self._send("POST", "packs", {"units": units, **options}))

    def charge(self, units: float | str, *, times: int = 1, **options: Any) -> list[str]:
        """Charge tasks of another program, and return their ids. Options: kling_task_id, api_key_name."""
        return list(self._send("POST", "charge", {"units": units, "times": times, **options}))

    def reset(self) -> None:
        """Return to the state after the start: no tasks, no faults, the first settings, an empty journal."""
        self._send("POST", "reset")

    def _send(self, method: str, action: str, body: Any = None, *, params: Mapping[str, str] | None = None) -> Any:
        # Not with urllib: it would use a proxy from the environment.
        address = urlsplit(self.url)
        http = HTTPConnection(address.hostname or "", address.port, timeout=60)
        try:
            query = f"?{urlencode(params)}" if params else ""
            http.request(method, f"/_emulator/{action}{query}", body=json.dumps(body or {}))
            answer = http.getresponse()
            document = json.loads(answer.read())
        finally:
            http.close()
        if answer.status != 200:
            raise ValueError(document["error"])
        return document


class _Process:
    """`python -m airflow_provider_kling.emulator`, which prints its URL."""

    def __init__(self, settings: Settings) -> None:
        self._command = [sys.executable, "-m", "airflow_provider_kling.emulator", *to_arguments(settings)]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        # Only the settings count, not the environment variables of the command.
        environ = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, env=environ)  # noqa: S603
        if self._process.stdout is None:
            raise RuntimeError("The emulator's output cannot be read.")
        line = self._process.stdout.readline()
        if not line.startswith("Kling emulator on "):
            self.stop()
            raise RuntimeError("The emulator did not start; its error output says why.")
        return line.split()[3].rstrip(";")

    def stop(self) -> None:
        if self._process is not None:
            with self._process as process:  # closes its output, and waits for its end
                process.terminate()
