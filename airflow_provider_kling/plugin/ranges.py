"""Which part of a file a request asks for (RFC 9110, sections 13 and 14). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import format_datetime, parsedate_to_datetime

_RANGE = re.compile(r"bytes=\s*(\d*)-(\d*)\s*", re.ASCII)


@dataclass(frozen=True)
class Part:
    """What to answer: the status, and the bytes from `start`, `length` of them."""

    status: int
    start: int
    length: int


def etag_of(*facts: object) -> str:
    """A strong validator from what changes when a file does."""
    import hashlib

    return f'"{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}"'


def http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(timezone.utc), usegmt=True)


def part_of(headers: Mapping[str, str], *, size: int, etag: str, modified: datetime | None) -> Part:
    """The part that these request headers ask for: 200 for all, 206 for a range, 304 or 416 for no bytes.

    A range that is none, several ranges, and one for another version of the file are answered with all of it, as the
    standard allows.
    """
    if _is_known(headers, etag=etag, modified=modified):
        return Part(304, 0, 0)
    found = _RANGE.fullmatch(headers.get("range", ""))
    if not found or not (found[1] or found[2]) or not _is_same(headers.get("if-range"), etag=etag, modified=modified):
        return Part(200, 0, size)
    if not found[1]:  # the last bytes
        length = min(int(found[2][:20]), size)
        return Part(206, size - length, length) if length else Part(416, 0, 0)
    start, end = int(found[1][:20]), min(int(found[2][:20]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2][:20]) < start:
        return Part(200, 0, size)
    return Part(206, start, end - start + 1) if start < size else Part(416, 0, 0)


def _is_known(headers: Mapping[str, str], *, etag: str, modified: datetime | None) -> bool:
    """Whether the browser has this version already."""
    if (known := headers.get("if-none-match")) is not None:
        return known.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]
    since = _date(headers.get("if-modified-since"))
    return bool(since and modified and modified.replace(microsecond=0) <= since)


def _is_same(condition: str | None, *, etag: str, modified: datetime | None) -> bool:
    """Whether an If-Range holds."""
    if condition is None or condition.strip() == etag:
        return True
    date = _date(condition)
    return bool(date and modified and modified.replace(microsecond=0) == date)


def _date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text) if text else None
    except (TypeError, ValueError, IndexError):
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=timezone.utc)
