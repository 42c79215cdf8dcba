"""Looks for secrets where none may be: in texts, files, folders and databases, in whatever form they stand there."""

from __future__ import annotations

import base64
import contextlib
import re
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

LONG = 120  # bytes; of a longer needle, like an image in base64, any part as long as this counts
STEP = LONG // 2  # so that each such part of a place holds a whole piece of this size, beginning at a multiple of it
SHORT = 8  # bytes; shorter ones would be found everywhere

_ONE_ALPHABET = bytes.maketrans(b"-_", b"+/")  # base64 for URLs is base64 all the same
_BLANKS = b" \t\r\n"
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{200,}")
_HEX = re.compile(rb"[0-9a-fA-F]{200,}")
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def leaks(needles: Mapping[str, bytes | str], *places: Path | bytes | str) -> list[str]:
    """A sentence for each needle (by its name) and each place that holds it; an empty list if all is well.

    A place is a `Path` (a file, or a folder with all that is in it), bytes, or a text. A SQLite file is searched twice: as it
    stands on the disk, deleted rows included, and value by value. The dump of any other database is a file.

    A needle is found as it is; across line ends and blanks; in JSON, Python and URL escapes; in hex, as PostgreSQL dumps bytes;
    in base64 of either alphabet, alone or within something larger; in what zlib or gzip has packed, if that is a whole file or
    value. Pickles need nothing more. What is encrypted is not seen: tests set Airflow's `[core] fernet_key` to nothing.
    """
    sought = [_Needle(name, each.encode() if isinstance(each, str) else each) for name, each in needles.items()]
    found: dict[str, None] = {}
    for place in places:
        for where, content in _contents(place):
            for form, view in _views(content):
                searched = _plain(view)
                for needle in sought:
                    if needle.stands_in(searched):
                        found[f"{needle.name} stands in {where}{form}"] = None
    return list(found)


class _Needle:
    def __init__(self, name: str, needle: bytes) -> None:
        self.name = name
        plain = _plain(needle)
        if len(plain) < SHORT:
            raise ValueError(f"{name} has {len(plain)} bytes; wanted are at least {SHORT}.")
        self._forms: list[bytes] = []
        self._pieces: set[bytes] = set()
        if len(plain) > LONG:
            self._pieces = {plain[at : at + STEP] for at in range(len(plain) - STEP + 1)}
        else:
            hexed = needle.hex().encode()
            self._forms = [plain, hexed, hexed.upper(), *(_plain(_core(needle, shift)) for shift in range(3))]

    def stands_in(self, searched: bytes) -> bool:
        if self._pieces:
            return any(searched[at : at + STEP] in self._pieces for at in range(0, len(searched) - STEP + 1, STEP))
        return any(form in searched for form in self._forms)


def _plain(content: bytes) -> bytes:
    return content.translate(_ONE_ALPHABET, _BLANKS)


def _core(needle: bytes, shift: int) -> bytes:
    """The part of the needle's base64 that is the same whatever stands around it, `shift` bytes after a multiple of three."""
    encoded = base64.b64encode(bytes(shift) + needle)
    return encoded[-(-shift * 8 // 6) : (shift + len(needle)) * 8 // 6]


def _contents(place: Path | bytes | str) -> Iterator[tuple[str, bytes]]:
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
            yield from _values(place)


def _values(path: Path) -> Iterator[tuple[str, bytes]]:
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
    """The content, and what can be unpacked from it, each once."""
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
            inner.append((", packed", zlib.decompress(content, wbits=47)))
    inner += [(", in hex", bytes.fromhex(found[: len(found) // 2 * 2].decode())) for found in _HEX.findall(content)]
    for found in _BASE64.findall(_plain(content)):
        inner += [(", in base64", base64.b64decode(found[at : at + (len(found) - at) // 4 * 4])) for at in range(4)]
    for form, view in inner:
        for further, deeper in _views(view, depth - 1, seen):
            yield f"{form}{further}", deeper


def _unescaped(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return chr(int(found[1], 16)).encode("utf-8", "surrogatepass")
    return _CONTROLS.get(found[2], found[2])
