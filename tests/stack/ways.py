"""A way to a server that can be closed and opened again, while the server keeps all it knows."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit

from processes import free_port

CHUNK = 65536


class Way:
    """Carries connections from a port of its own to a server.

    Closed, connections are refused and the standing ones broken; silent, they are taken and nothing ever comes back.
    """

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "", target.port or 80)
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._pairs: list[socket.socket] = []
        self._silent = False
        self.taken = 0  # connections so far

    def open(self) -> None:
        """Let everything through, from now on."""
        self.close()  # connections that waited in silence would wait on
        self._silent = False
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=256)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections, and break those that stand."""
        with self._lock:
            listener, self._listener = self._listener, None
            ends, self._pairs = self._pairs, []
        for end in [*([listener] if listener else []), *ends]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def silence(self) -> None:
        """Take connections and requests, and answer nothing; standing connections are broken first."""
        self.open()
        self._silent = True

    def __enter__(self) -> Way:
        self.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:  # closed
                return
            self.taken += 1
            if not self._keep(caller, listener) or self._silent:
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                caller.close()
                continue
            self._keep(server, listener)
            for source, sink in ((caller, server), (server, caller)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _keep(self, end: socket.socket, listener: socket.socket) -> bool:
        with self._lock:
            if self._listener is listener:
                self._pairs.append(end)
                return True
        end.close()
        return False

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if self._silent:
                    return
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
