"""Whether a file is a whole MP4, and which one, by its boxes: it is neither played nor decoded.

Pure but for the file that it is handed.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from typing import IO, Any, NamedTuple

_HEADER = 8  # bytes: a box begins with its size and its type
_IDENTITY = uuid.UUID("7e0a9c3e-52f4-4a3b-9a52-6b1f0f0c7d11")  # the type of the box that `identity_box` makes
_LONGEST_IDENTITY = 4096  # bytes of such a box
MOST_BOXES = 100_000  # top-level boxes of one file; a video of hours in fragments of a second has fewer


def starts_like_mp4(head: bytes) -> bool:
    """Whether a file with these first bytes may be an MP4. Less than 8 bytes prove nothing."""
    return len(head) < _HEADER or head[4:8] == b"ftyp"


def why_not_mp4(file: IO[bytes]) -> str | None:
    """None for a whole MP4: `ftyp` comes first, a `moov` is there, and the top-level boxes add up to the file's length.

    Otherwise the reason, as a half sentence whose subject is the file. A box whose size is "up to the end of the file" proves
    nothing, so a file with one does not count as whole.
    """
    return look_at(file).problem


class Look(NamedTuple):
    """What the boxes of a file say: None for a whole MP4 or what is wrong with it, and the identity that it holds."""

    problem: str | None
    identity: dict[str, Any] | None = None


def look_at(file: IO[bytes]) -> Look:
    """Look at the top-level boxes of a file; `problem` is what `why_not_mp4` returns."""
    length = file.seek(0, os.SEEK_END)
    at, types, identity = 0, set(), None
    for _ in range(MOST_BOXES):
        if at == length:
            break
        file.seek(at)
        head = file.read(2 * _HEADER)
        if at == 0 and (len(head) < _HEADER or not starts_like_mp4(head)):
            return Look(f"begins with {head[:12]!r}" if head else "is empty")
        size, start = _box_size(head)
        if size < start or at + size > length:
            return Look(f"is no whole MP4: {length:,} bytes, cut off or damaged after {at:,}")
        types.add(head[4:8])
        if head[4:8] == b"uuid" and size <= _LONGEST_IDENTITY:
            file.seek(at + start)
            identity = _identity_in(file.read(size - start)) or identity
        at += size
    if at != length or length == 0:
        return Look("is empty" if length == 0 else f"has more than {MOST_BOXES:,} boxes")
    return Look(None, identity) if b"moov" in types else Look("has no moov box")


def identity_box(identity: Mapping[str, Any]) -> bytes:
    """A box to append to an MP4, which says what it is. Players pass over a `uuid` box that they do not know (ISO 14496-12)."""
    data = _IDENTITY.bytes + json.dumps(identity, sort_keys=True).encode()
    return (_HEADER + len(data)).to_bytes(4, "big") + b"uuid" + data


def _identity_in(data: bytes) -> dict[str, Any] | None:
    """What `identity_box` has written, from the content of the box; None for any other content."""
    if not data.startswith(_IDENTITY.bytes):
        return None
    try:
        found = json.loads(data[len(_IDENTITY.bytes) :])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _box_size(head: bytes) -> tuple[int, int]:
    """The size of a box, and the size of its header. 0 for a header that is cut off."""
    size = int.from_bytes(head[:4], "big") if len(head) >= _HEADER else 0
    if size != 1:
        return size, _HEADER
    return (int.from_bytes(head[8:16], "big") if len(head) == 2 * _HEADER else 0), 2 * _HEADER
