"""Processes of a stack: started in a group of their own with a log file each, killed for real, and none left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil

T = TypeVar("T")

MARK = "KLING_STACK_MARK"  # in the environment of everything that a stack starts, and of what that starts


class Process:
    """A program that can be started, killed and started again; all its output goes to one file."""

    def __init__(self, name: str, command: Sequence[str], *, environment: Mapping[str, str], log: Path, **options: Any) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environment = dict(environment)
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        with self.log.open("ab") as log:
            log.write(f"--- {' '.join(self._command)}\n".encode())
            log.flush()
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._options,
            )
        return self

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program and to all that it has started."""
        if self._process is not None:
            for process in _family(self._process.pid):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)

    def kill(self) -> None:
        """End it at once with all it has started, as when its container or its machine dies."""
        self.signal(signal.SIGKILL)
        self.wait()

    def kill_alone(self) -> None:
        """End the program at once, and leave alive what it has started."""
        if self._process is not None:
            self._process.kill()
        self.wait()

    def terminate(self, *, timeout: float = 30) -> None:
        """Ask the program to end, as an orchestrator does, and see that all of it is gone."""
        if self._process is None:
            return
        started = _family(self._process.pid)
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        for process in started:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.wait()

    def restart(self) -> None:
        self.terminate()
        self.start()

    def wait(self) -> int:
        return self._process.wait() if self._process is not None else 0

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def new_mark() -> str:
    return uuid.uuid4().hex


def marked(mark: str) -> list[psutil.Process]:
    """All processes that carry this mark, wherever their parents have gone."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end_marked(mark: str) -> None:
    for process in marked(mark):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(marked(mark), timeout=10)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(what: str, happens: Callable[[], T], *, timeout: float = 60, told: Callable[[], str] = str, every: float = 0.1) -> T:
    """What `happens` brings as soon as it is true; TimeoutError, with what `told` knows, if it never is."""
    deadline = time.monotonic() + timeout
    while not (seen := happens()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:.0f} s: {what}\n{told()}")
        time.sleep(every)
    return seen


def without(prefixes: tuple[str, ...]) -> dict[str, str]:
    """This process's environment, but for what would set up Airflow or the emulator otherwise."""
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
