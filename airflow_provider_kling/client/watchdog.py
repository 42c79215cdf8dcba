"""Ends a request of a blocking library in time, whatever trickles in.

A time-out of a socket starts anew with each byte. So a thread watches the request's sockets from outside and shuts them down
when the time is over: whatever the library waits for, be it a tunnel, a handshake, headers or a body, then ends at once.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from types import TracebackType
from typing import Any


class Watchdog:
    """Bounds what this thread does with sockets: to `seconds` in all and, with `pace`, to so many between two calls of `fed`.

    Connections report their sockets to `current()`. `sent` is whether any byte of a request may have left this machine,
    `expired` whether the time came. A context manager; the threads that it starts end with it.
    """

    def __init__(self, seconds: float, *, pace: float | None = None) -> None:
        self.sent = False
        self.expired = False
        self._end = time.monotonic() + seconds
        self._pace = pace
        self._due = self._next_due()
        self._done = False
        self._changed = threading.Condition()
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Watchdog:
        self._outer = current()
        _of_thread.watchdog = self
        self._thread = threading.Thread(target=self._run, name="kling-watchdog", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        _of_thread.watchdog = self._outer
        with self._changed:
            self._done = True
            self._changed.notify_all()
        self._thread.join()
        for watched in self._sockets:
            watched.close()

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return max(0.0, self._end - time.monotonic())

    def fed(self) -> None:
        """Something worth waiting for has come: wait for the next as long again."""
        self._due = self._next_due()

    def watch(self, connected: Any) -> None:
        """Watch this socket, too, of whatever kind. Its handle is copied, since the library may wrap, detach and close its own."""
        with self._changed:
            copy = socket.socket(fileno=os.dup(connected.fileno()))
            self._sockets.append(copy)
            if self.expired:
                _shut_down(copy)

    def sends(self, connected: Any) -> None:
        """The request is about to be sent over this socket."""
        self.sent = True
        if not self._sockets and connected is not None:
            self.watch(connected)

    def _next_due(self) -> float:
        return self._end if self._pace is None else min(self._end, time.monotonic() + self._pace)

    def _run(self) -> None:
        with self._changed:
            while not self._done and (left := self._due - time.monotonic()) > 0:
                self._changed.wait(left)
            if not self._done:
                self.expired = True
                for watched in self._sockets:
                    _shut_down(watched)


def current() -> Watchdog | None:
    """The watchdog of what this thread does at the moment."""
    return getattr(_of_thread, "watchdog", None)


def _shut_down(watched: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        watched.shutdown(socket.SHUT_RDWR)


_of_thread = threading.local()
