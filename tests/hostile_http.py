"""HTTP for `hostile`: a server of sockets, and answers that trickle, lie or break off. Standard library only.

An answer is a function of an `Exchange`. It may write what it likes, wait with `exchange.pause`, and raise ConnectionError to
cut the connection.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
import socket
import socketserver
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit


def box(kind: bytes, content: bytes = b"") -> bytes:
    """A box of an MP4 file."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def mp4(size: int = 2000) -> bytes:
    """A file whose boxes add up, as those of a whole MP4 do. No player shows it."""
    return box(b"ftyp", b"mp42\0\0\0\0mp42isom") + box(b"moov", box(b"mvhd", bytes(100))) + box(b"mdat", bytes(size))


@dataclass
class Exchange:
    """One request. `good` is the body that an honest account answers with `status`."""

    kind: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    peer: socket.socket
    stopped: threading.Event
    at: float = field(default_factory=time.time)
    status: int = 200
    good: bytes = b""
    content_type: str = "application/json"

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    def write(self, data: bytes) -> None:
        self.peer.sendall(data)

    def head(self, status: int, **headers: str | int | None) -> None:
        """Write status line and headers; `_` stands for a dash, None leaves a header out."""
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value is not None]
        self.write("\r\n".join([f"HTTP/1.1 {status} X", *lines, "\r\n"]).encode("latin-1"))

    def respond(self, status: int, body: bytes, **headers: str | int | None) -> None:
        self.head(status, **{"Content_Type": self.content_type, "Content_Length": len(body), **headers})
        self.write(body)

    def pause(self, seconds: float) -> None:
        """Wait; when the server stops meanwhile, the connection ends."""
        if self.stopped.wait(seconds):
            raise ConnectionAbortedError


Answer = Callable[[Exchange], None]


def honest(exchange: Exchange) -> None:
    exchange.respond(exchange.status, exchange.good)


def reset(exchange: Exchange) -> None:
    """No answer: the connection is cut."""
    raise ConnectionResetError


def hang(exchange: Exchange) -> None:
    """No answer, and the connection stays."""
    exchange.pause(3600)


def cut(exchange: Exchange) -> None:
    """Half of the honest answer, which announces all of it."""
    exchange.head(exchange.status, Content_Type=exchange.content_type, Content_Length=len(exchange.good))
    exchange.write(exchange.good[: len(exchange.good) // 2])
    raise ConnectionResetError


def half(exchange: Exchange) -> None:
    """Half of the honest answer, without a length; then the connection is closed in good order."""
    exchange.head(exchange.status, Content_Type=exchange.content_type, Connection="close")
    exchange.write(exchange.good[: len(exchange.good) // 2])
    raise ConnectionAbortedError


def trickle(seconds: float, *, head: bool = False) -> Answer:
    """The honest answer a byte at a time; with `head` the status line and headers, too."""

    def write(exchange: Exchange) -> None:
        start = f"HTTP/1.1 {exchange.status} X\r\nContent-Length: {len(exchange.good)}\r\n\r\n".encode()
        if not head:
            exchange.write(start)
        for byte in (start if head else b"") + exchange.good:
            exchange.write(bytes([byte]))
            exchange.pause(seconds)

    return write


def status(number: int, code: int | None = None, message: str = "", **headers: str | int | None) -> Answer:
    """An error of the API; without a code, a page of a gateway."""
    body = b"<html>gateway</html>" if code is None else envelope(code=code, message=message)
    return lambda exchange: exchange.respond(number, body, **headers)


def body(data: bytes, **headers: str | int | None) -> Answer:
    """This body with status 200, whatever was asked."""
    return lambda exchange: exchange.respond(200, data, **headers)


def redirect(location: str, number: int = 302) -> Answer:
    return lambda exchange: exchange.respond(number, b"", Location=location)


def bomb(megabytes: int, encoding: str = "gzip") -> Answer:
    """So many megabytes of blanks, compressed to a thousandth."""
    return lambda exchange: exchange.respond(200, _blanks(megabytes), Content_Encoding=encoding)


@functools.cache
def _blanks(megabytes: int) -> bytes:
    return gzip.compress(b" " * (megabytes * 2**20))


def endless(piece: bytes, start: bytes = b"") -> Answer:
    """Chunks until the client goes away."""

    def write(exchange: Exchange) -> None:
        exchange.head(200, Content_Type=exchange.content_type, Transfer_Encoding="chunked")
        for data in [start] if start else []:
            exchange.write(b"%x\r\n%b\r\n" % (len(data), data))
        while not exchange.stopped.is_set():
            exchange.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    return write


def envelope(data: Any = None, *, code: int = 0, message: str = "SUCCEED") -> bytes:
    return json.dumps({"code": code, "message": message, "request_id": str(uuid.uuid4()), "data": data}).encode()


# --- Sockets ---------------------------------------------------------------------------------------------------


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], serve: Callable[[socket.socket, Any], None]) -> None:
        self._serve = serve
        super().__init__(address, socketserver.BaseRequestHandler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        with request.makefile("rb") as stream, contextlib.suppress(ConnectionAbortedError, BrokenPipeError):
            try:
                self._serve(request, stream)
            except ConnectionResetError:  # close with a reset instead of an end
                request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def shutdown_request(self, request: Any) -> None:
        self.close_request(request)  # without shutdown(), which would end the connection in good order before a reset


def read_headers(stream: Any) -> Iterator[tuple[str, str]]:
    while line := stream.readline(65536).decode("latin-1").strip():
        name, _, value = line.partition(":")
        yield name.strip().lower(), value.strip()
