"""A PNG without what is no picture: texts, colour profiles, dates.

Generators of images write whole workflows into such chunks. Pillow inflates them, refuses those of more than 1 MiB, and may
stumble over any of them; none of them changes whether Kling can show the picture. Pure.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

START = b"\x89PNG\r\n\x1a\n"
# Chunks that are needed to tell how many pixels and frames there are. The critical ones begin with a capital letter.
_OF_THE_PICTURE = (b"tRNS", b"acTL", b"fcTL", b"fdAT")
_OF_TEXTS = (b"tEXt", b"zTXt", b"iTXt")


class WrongChecksum(Exception):
    """A chunk that is no part of the picture has a wrong checksum; the message names it."""


def picture_of(data: bytes) -> bytes:
    """The PNG with the chunks of its picture only, and what stands behind its end. Nothing is inflated.

    Where the file breaks off, the rest stays as it is. Raises WrongChecksum for a chunk to be left out.
    """
    parts, kept_from = [], 0
    for start, end, kind in _chunks(data):
        if kind[:1].islower() and kind not in _OF_THE_PICTURE:
            if zlib.crc32(data[start + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
                what = "text chunk" if kind in _OF_TEXTS else "chunk"
                raise WrongChecksum(f"{what} {kind.decode('ascii')}")
            parts.append(data[kept_from:start])
            kept_from = end
    return b"".join([*parts, data[kept_from:]]) if parts else data


def _chunks(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Start, end and kind of each whole chunk: its length, its kind, its content and a checksum."""
    start = len(START)
    while True:
        kind = data[start + 4 : start + 8]
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data) or len(kind) < 4 or not kind.isalpha() or not kind.isascii():
            return
        yield start, end, kind
        if kind == b"IEND":
            return
        start = end
