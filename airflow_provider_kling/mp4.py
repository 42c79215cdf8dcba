"""Whether a file is a whole MP4, by its boxes: it is neither played nor decoded. Pure but for the file that it is handed."""

from __future__ import annotations

import os
from typing import IO

_HEADER = 8  # bytes: a box begins with its size and its type
MOST_BOXES = 100_000  # top-level boxes of one file; a video of hours in fragments of a second has fewer


def starts_like_mp4(head: bytes) -> bool:
    """Whether a file with these first bytes may be an MP4. Less than 8 bytes prove nothing."""
    return len(head) < _HEADER or head[4:8] == b"ftyp"


def why_not_mp4(file: IO[bytes]) -> str | None:
    """None for a whole MP4: `ftyp` comes first, a `moov` is there, and the top-level boxes add up to the file's length.

    Otherwise the reason, as a half sentence whose subject is the file. A box whose size is "up to the end of the file" proves
    nothing, so a file with one does not count as whole.
    """
    length = file.seek(0, os.SEEK_END)
    at, types = 0, set()
    for _ in range(MOST_BOXES):
        if at == length:
            break
        file.seek(at)
        head = file.read(2 * _HEADER)
        if at == 0 and (len(head) < _HEADER or not starts_like_mp4(head)):
            return f"begins with {head[:12]!r}" if head else "is empty"
        size, start = _box_size(head)
        if size < start or at + size > length:
            return f"is no whole MP4: {length:,} bytes, cut off or damaged after {at:,}"
        types.add(head[4:8])
        at += size
    if at != length or length == 0:
        return "is empty" if length == 0 else f"has more than {MOST_BOXES:,} boxes"
    return None if b"moov" in types else "has no moov box"


def _box_size(head: bytes) -> tuple[int, int]:
    """The size of a box, and the size of its header. 0 for a header that is cut off."""
    size = int.from_bytes(head[:4], "big") if len(head) >= _HEADER else 0
    if size != 1:
        return size, _HEADER
    return (int.from_bytes(head[8:16], "big") if len(head) == 2 * _HEADER else 0), 2 * _HEADER
