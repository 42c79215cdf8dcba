"""Names that every file system and object store takes, from any values."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from typing import Any

from airflow_provider_kling.patterns import pattern

MOST_BYTES = 224  # of a name in all cases; file systems take 255, and an unfinished file has 31 more than its video
SOUGHT_BYTES = 200  # to which long values are cut
MOST_ID = 40  # bytes of a task's id
_DIGEST = 8  # hexadecimal digits in the place of what was cut off

# Reserved by Windows or by object stores, or read differently in URLs.
FORBIDDEN = pattern(r'[/\\:*?"<>|#%\x00-\x1f\x7f-\x9f]')
_ODD_KINDS = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # control, format (also of direction), private, unassigned
_RESERVED = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", *(f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³")]
)


def text_of(value: Any) -> str:
    """A value as text: nothing for None, JSON for what is no text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def safe_text(value: Any) -> str:
    """A value as a part of a name: in the normal form C, with `_` in the place of each character that is not safe."""
    text = unicodedata.normalize("NFC", FORBIDDEN.sub("_", text_of(value)))
    return "".join(_safe_character(sign) for sign in text) if not text.isascii() else text


def safe_name(pieces: Sequence[tuple[str, bool]], *, suffix: str = "", empty: str = "_") -> str:
    """One name (of a file or folder) of these texts, which are safe, and the suffix. Those marked with True may be cut.

    It does not begin with a dot, dash, tilde or blank, does not end with a dot or blank, and is no name that Windows reserves.
    The same pieces give the same name.
    """
    room = SOUGHT_BYTES - len(suffix.encode()) - sum(len(text.encode()) for text, may_be_cut in pieces if not may_be_cut)
    share = _share(sorted(len(text.encode()) for text, may_be_cut in pieces if may_be_cut), room)
    stem = "".join(cut(text, share) if may_be_cut else text for text, may_be_cut in pieces)
    stem = unicodedata.normalize("NFC", stem).lstrip(" .-~").rstrip(" .") or empty
    if stem.partition(".")[0].rstrip().upper() in _RESERVED:
        stem = f"_{stem}"
    return stem + suffix


def cut(text: str, most: int) -> str:
    """The text, or its beginning with a digest of all of it, in at most so many bytes, but at least nine."""
    data = text.encode()
    if len(data) <= most:
        return text
    head = data[: max(0, most - _DIGEST - 1)].decode(errors="ignore").rstrip(" .-_")
    return f"{head}_{hashlib.sha256(data).hexdigest()[:_DIGEST]}"


def same_name_key(name: str) -> str:
    """The name as a file system sees it that does not tell small letters from capital ones."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _safe_character(sign: str) -> str:
    kind = unicodedata.category(sign)
    return "_" if kind in _ODD_KINDS else " " if kind == "Zs" else sign


def _share(lengths: list[int], room: int) -> int:
    """The most bytes that each of these texts may have, so that together they fit where that is possible."""
    for number, length in enumerate(lengths):
        share = max(0, room) // (len(lengths) - number)
        if length > share:
            return max(share, _DIGEST + 1)
        room -= length
    return MOST_BYTES
