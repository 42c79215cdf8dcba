"""A TCP proxy that can cut off a server and connect it again, while the server keeps its state."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit

from processes import free_port

CHUNK = 65536


class Proxy:
    """Forwards connections from a port of its own to a server.

    While closed, it refuses connections. While silent, it accepts connections and never answers.
    """

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "", target.port or 80)
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._sockets: list[socket.socket] = []
        self._silent = False

    def open(self) -> None:
        """Forward all connections from now on."""
        self.close()  # connections accepted while silent would never be forwarded
        self._silent = False
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=256)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse new connections and break existing ones."""
        with self._lock:
            listener, self._listener = self._listener, None
            sockets, self._sockets = self._sockets, []
        for each in [*([listener] if listener else []), *sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def silence(self) -> None:
        """Break existing connections, then accept new ones and answer nothing."""
        self.open()
        self._silent = True

    def __enter__(self) -> Proxy:
        self.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # closed
                return
            if not self._register(client, listener) or self._silent:
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            self._register(server, listener)
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _register(self, end: socket.socket, listener: socket.socket) -> bool:
        """Remember a socket for `close`. If the proxy was closed meanwhile, close the socket and return False."""
        with self._lock:
            if self._listener is listener:
                self._sockets.append(end)
                return True
        end.close()
        return False

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if self._silent:
                    return
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
