"""Searches texts, files, folders and databases for secrets, in any of the common encodings."""

from __future__ import annotations

import base64
import contextlib
import functools
import re
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

LONG = 120  # bytes; of a longer needle, such as an image in base64, any part of this length is a leak
STEP = LONG // 2  # any part of LONG bytes contains a whole piece of STEP bytes that starts at a multiple of STEP
SMALL = 8192  # bytes; in less, each piece of a longer needle is searched for by itself: to index them costs more
SHORT = 8  # bytes; a shorter needle would be found by chance

_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")  # URL-safe base64 becomes standard base64
_BLANKS = b" \t\r\n"
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{200,}")
_HEX = re.compile(rb"[0-9a-fA-F]{200,}")
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def leaks(needles: Mapping[str, bytes | str], *places: Path | bytes | str) -> list[str]:
    """One sentence for each named needle and each place that contains it; an empty list if there is no leak.

    A place is a `Path` (a file, or a folder with everything in it), bytes, or a text. A SQLite file is searched as bytes,
    deleted rows included, and also value by value. For any other database, pass a dump.

    A needle is found as it is; across line ends and blanks; in JSON, Python and URL escapes; in hex, as PostgreSQL dumps bytes;
    in base64 of either alphabet, alone or within larger data; in zlib and gzip data, if that is a whole file or value; and in
    pickles. Encrypted data is not searched, so tests set Airflow's `[core] fernet_key` to an empty value.
    """
    searched_needles = [_Needle(name, each.encode() if isinstance(each, str) else each) for name, each in needles.items()]
    found: dict[str, None] = {}
    for place in places:
        for where, content in _contents(place):
            for form, view in _views(content):
                searched = _normalized(view)
                for needle in searched_needles:
                    if needle.is_in(searched):
                        found[f"{needle.name} is in {where}{form}"] = None
    return list(found)


class _Needle:
    def __init__(self, name: str, needle: bytes) -> None:
        self.name = name
        normalized = _normalized(needle)
        if len(normalized) < SHORT:
            raise ValueError(f"{name} has {len(normalized)} bytes; at least {SHORT} are needed.")
        self._forms: list[bytes] = []
        self._long = normalized if len(normalized) > LONG else b""
        if not self._long:
            hexadecimal = needle.hex().encode()
            self._forms = [
                normalized,
                hexadecimal,
                hexadecimal.upper(),
                *(_normalized(_base64_core(needle, shift)) for shift in range(3)),
            ]

    def is_in(self, searched: bytes) -> bool:
        if not self._long:
            return any(form in searched for form in self._forms)
        if len(searched) < SMALL:
            return any(self._long[at : at + STEP] in searched for at in range(0, len(self._long) - STEP + 1, STEP))
        return any(searched[at : at + STEP] in self._pieces for at in range(0, len(searched) - STEP + 1, STEP))

    @functools.cached_property
    def _pieces(self) -> set[bytes]:
        return {self._long[at : at + STEP] for at in range(len(self._long) - STEP + 1)}


def _normalized(content: bytes) -> bytes:
    """The content without blanks, with URL-safe base64 as standard base64."""
    return content.translate(_STANDARD_ALPHABET, _BLANKS)


def _base64_core(needle: bytes, shift: int) -> bytes:
    """The part of the needle's base64 that does not depend on the bytes around it.

    The needle starts `shift` bytes after a multiple of three bytes.
    """
    encoded = base64.b64encode(bytes(shift) + needle)
    return encoded[-(-shift * 8 // 6) : (shift + len(needle)) * 8 // 6]


def _contents(place: Path | bytes | str) -> Iterator[tuple[str, bytes]]:
    """The parts of a place, each with a name."""
    if isinstance(place, bytes | str):
        yield "the text", place.encode("utf-8", "surrogatepass") if isinstance(place, str) else place
    elif place.is_dir():
        for path in sorted(place.rglob("*")):
            if path.is_file():
                yield from _contents(path)
    else:
        content = place.read_bytes()
        yield str(place), content
        if content.startswith(b"SQLite format 3\0"):
            yield from _sqlite_values(place)


def _sqlite_values(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each text and blob of a SQLite database, named by table and column."""
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        database.text_factory = bytes
        for (table,) in database.execute("select name from sqlite_master where type = 'table'").fetchall():
            rows = database.execute(f'select * from "{table.decode()}"')  # noqa: S608 - a name from the database itself
            columns = [column[0] for column in rows.description]
            for row in rows:
                for column, value in zip(columns, row, strict=True):
                    if isinstance(value, bytes):
                        yield f"{path}, {table.decode()}.{column}", value


def _views(content: bytes, depth: int = 3, seen: set[bytes] | None = None) -> Iterator[tuple[str, bytes]]:
    """The content and everything that can be decoded from it, each once, with the name of the encoding."""
    seen = set() if seen is None else seen
    if content in seen:
        return
    seen.add(content)
    yield "", content
    if not depth:
        return
    inner: list[tuple[str, bytes]] = []
    if b"\\" in content:
        inner.append((", escaped", _ESCAPE.sub(_unescaped, content)))
    if b"%" in content:
        inner.append(
            (", quoted as in a URL", re.sub(rb"%([0-9a-fA-F]{2})", lambda found: bytes.fromhex(found[1].decode()), content))
        )
    if content[:2] == b"\x1f\x8b" or content[:1] == b"\x78":
        with contextlib.suppress(zlib.error):
            inner.append((", compressed", zlib.decompress(content, wbits=47)))
    inner += [(", in hex", bytes.fromhex(found[: len(found) // 2 * 2].decode())) for found in _HEX.findall(content)]
    for found in _BASE64.findall(_normalized(content)):
        inner += [(", in base64", base64.b64decode(found[at : at + (len(found) - at) // 4 * 4])) for at in range(4)]
    for form, view in inner:
        for further, deeper in _views(view, depth - 1, seen):
            yield f"{form}{further}", deeper


def _unescaped(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return chr(int(found[1], 16)).encode("utf-8", "surrogatepass")
    return _CONTROLS.get(found[2], found[2])
