"""Bodies of responses, bounded: nothing that arrives may fill the memory or the disk, compressed or not.

The transports take the bytes as they arrive, and unpack them here: so both bound what a small compressed body becomes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from airflow_provider_kling.errors import KlingAnswerError, KlingConnectionError, KlingDownloadError
from airflow_provider_kling.mp4 import starts_like_mp4
from airflow_provider_kling.redaction import show_host

ACCEPTED = "gzip, deflate"  # the encodings that `Decoder` unpacks
MAX_RESPONSE = 16 * 1024 * 1024  # bytes; a page of 500 tasks has less than 1 MB
MAX_VALUES = 1_000_000  # JSON values in a response; a page of 500 tasks has some 10,000
MAX_VIDEO = 2 * 1024**3  # bytes; a video of an effect has some 10 MB

_PIECE = 256 * 1024  # bytes unpacked at once
_HEAD = 12  # bytes of a file that are looked at


class Decoder:
    """Unpacks a body piece by piece. Raises ValueError for an encoding that nobody asked for, and for damaged data."""

    def __init__(self, encoding: str | None) -> None:
        self._encoding = (encoding or "").strip().lower()
        if self._encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise ValueError(f"the body has the encoding {self._encoding[:40]!r}, which was not asked for")
        self._started = self._ended = False
        self._unpack = zlib.decompressobj(31)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What these bytes become, in pieces of at most 256 KiB."""
        if self._encoding in ("", "identity"):
            yield data
            return
        if data and not self._started:
            self._started = True
            if self._encoding == "deflate":  # with the header of zlib, or without it
                self._unpack = zlib.decompressobj(15 if data[0] & 0x0F == 8 else -15)
        try:
            while data and not self._ended:
                piece = self._unpack.decompress(data, _PIECE)
                data = self._unpack.unconsumed_tail
                if self._unpack.eof:
                    data = self._next_member()
                if piece:
                    yield piece
        except zlib.error:
            raise ValueError("the body is damaged: it cannot be unpacked") from None

    def end(self) -> Iterator[bytes]:
        """What is left at the end of the body. Raises ValueError if the body broke off."""
        if self._encoding in ("", "identity") or not self._started or self._ended:
            return
        if rest := self._unpack.flush(_PIECE):
            yield rest
        if not self._unpack.eof:
            raise ValueError("the body broke off: it cannot be unpacked")

    def _next_member(self) -> bytes:
        """The bytes after the end of the packed data: another member of gzip, or nothing that counts."""
        rest = self._unpack.unused_data
        if self._encoding != "deflate" and rest[:2] == b"\x1f\x8b":
            self._unpack = zlib.decompressobj(31)
            return rest
        self._ended = True
        return b""


class ResponseBody:
    """Collects the body of a response of the API. Raises KlingConnectionError for one larger than any of the API."""

    def __init__(self, encoding: str | None) -> None:
        self._decoder = Decoder(encoding)
        self._body = bytearray()

    def feed(self, data: bytes) -> None:
        self._append(self._decoder.feed(data))

    def end(self) -> bytes:
        """The whole body. Raises KlingAnswerError for JSON of so many values that reading it alone would be an attack."""
        self._append(self._decoder.end())
        if sum(map(self._body.count, b"{[,")) > MAX_VALUES:
            raise KlingAnswerError(f"A response holds more than {MAX_VALUES:,} values; none of the API does.")
        return bytes(self._body)

    def _append(self, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            if len(self._body) + len(piece) > MAX_RESPONSE:
                raise KlingConnectionError(f"A response is larger than {MAX_RESPONSE:,} bytes; none of the API is.", sent=True)
            self._body += piece


class VideoBody:
    """Writes a video as it arrives. Raises KlingDownloadError as soon as it is clear that it is none, or too large."""

    def __init__(self, url: str, encoding: str | None, write: Callable[[bytes], object]) -> None:
        self._url = url
        self._decoder = Decoder(encoding)
        self._write = write
        self._head = b""
        self._size = 0
        self.write_error: OSError | None = None  # the disk's fault, which is none of the network

    def feed(self, data: bytes) -> None:
        self._append(self._decoder.feed(data))

    def end(self) -> None:
        self._append(self._decoder.end())

    def _append(self, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            self._size += len(piece)
            self._head += piece[: _HEAD - len(self._head)]
            if not starts_like_mp4(self._head):
                host = show_host(self._url)
                raise KlingDownloadError(f"What {host} sends is no video: it begins with {self._head!r}.", retryable=True)
            if self._size > MAX_VIDEO:
                raise KlingDownloadError(f"{show_host(self._url)} sends a video of more than {MAX_VIDEO:,} bytes.")
            try:
                self._write(piece)
            except OSError as error:
                self.write_error = error
                raise
