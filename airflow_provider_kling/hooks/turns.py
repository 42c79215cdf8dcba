"""Whose turn it is to send a request of which Kling takes one a second: over all threads, loops and processes of a machine.

Processes agree by a small file in the folder for temporary files, which holds when the next turn is. Where that does not work,
each process keeps the distance for itself; Kling then refuses a request now and then, and it is sent again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator

from airflow_provider_kling.api import COSTS_INTERVAL

SPACING = COSTS_INTERVAL * 1.05  # seconds between the starts of two requests; the other side measures their arrival
LONGEST_QUEUE = 60.0  # seconds; a turn further away was written before a restart of the machine, or is none
MOST_ACCOUNTS = 1000  # whose next turn is remembered


class Turns:
    """The turns of this process, which keep clear of those of the other processes. An account is named by any text."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}

    def take(self, account: str) -> float:
        """Take the next turn. Returns the seconds until it comes."""
        with self._lock, _shared(account) as file:
            now = time.monotonic()  # on Linux the same for all processes
            if len(self._next) >= MOST_ACCOUNTS:
                self._next = {name: at for name, at in self._next.items() if at > now}
            at = max(now, self._next.get(account, now), _read(file, now))
            self._next[account] = at + SPACING
            _write(file, at + SPACING)
            return at - now


@contextlib.contextmanager
def _shared(account: str) -> Iterator[int | None]:
    """The file of an account, locked; None if there is none. The lock is held for microseconds, and not waited for long."""
    name = hashlib.sha256(f"{os.getuid()} {account}".encode()).hexdigest()[:24]
    path = os.path.join(tempfile.gettempdir(), f"airflow-kling-{name}.turn")
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        yield None
        return
    try:
        yield file if _locked(file) else None
    finally:
        os.close(file)  # and with it the lock


def _locked(file: int) -> bool:
    for _ in range(3):
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.001)
    return False


def _read(file: int | None, now: float) -> float:
    """When the next turn of another process is; now, if the file tells none that can be meant."""
    if file is None:
        return now
    try:
        at = float(os.pread(file, 32, 0) or b"0")
    except (OSError, ValueError):
        return now
    return at if at < now + LONGEST_QUEUE else now


def _write(file: int | None, at: float) -> None:
    if file is not None:
        with contextlib.suppress(OSError):
            os.ftruncate(file, os.pwrite(file, f"{at:.6f}\n".encode(), 0))
