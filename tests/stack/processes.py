"""Processes of a stack: each has its own process group and log file, can be killed, and none is left behind."""

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

MARK = "KLING_STACK_MARK"  # an environment variable of all processes of a stack and of their children


class Process:
    """A program that can be started, killed and started again. All its output goes to one file."""

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
        """Send a signal to the program and its descendants."""
        if self._process is not None:
            for process in _family(self._process.pid):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)

    def kill(self) -> None:
        """Kill the program and its descendants, as when their container or machine dies."""
        self.signal(signal.SIGKILL)
        self.wait()

    def kill_alone(self) -> None:
        """Kill the program, but none of its descendants."""
        if self._process is not None:
            self._process.kill()
        self.wait()

    def terminate(self, *, timeout: float = 30) -> None:
        """Terminate the program as an orchestrator does, then kill what is left of it and its descendants."""
        if self._process is None:
            return
        family = _family(self._process.pid)
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        for process in family:
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
    """The process and its descendants; empty if it is gone."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def new_mark() -> str:
    return uuid.uuid4().hex


def marked_processes(mark: str) -> list[psutil.Process]:
    """All processes with this mark, also those whose parents have died."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def kill_marked(mark: str) -> None:
    """Kill all processes with this mark."""
    for process in marked_processes(mark):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(marked_processes(mark), timeout=10)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(
    what: str, condition: Callable[[], T], *, timeout: float = 60, describe: Callable[[], str] = str, interval: float = 0.1
) -> T:
    """Wait until `condition` returns a true value, and return that value.

    A TimeoutError names `what` and ends with the text from `describe`.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:.0f} s: {what}\n{describe()}")
        time.sleep(interval)
    return value


def environment_without(prefixes: tuple[str, ...]) -> dict[str, str]:
    """This process's environment without the variables that start with one of these prefixes."""
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
