"""Characters that nobody sees: byte order marks, zero-width characters, marks of direction.

They come with texts that were copied from web pages, and with files that were joined. At the ends of a value they mean
nothing. Inside, they make two values of what looks like one. Pure.
"""

from __future__ import annotations

import functools
import re
import unicodedata

BOM = "\ufeff"
_JOINERS = "\u200c\u200d"  # within Persian and Indian words and within emojis they have a meaning, but not beside ASCII
_OTHERS = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
)
# Those that belong to the character before them, so that none of them is removed at an end: flags like that of Scotland are
# tags behind U+1F3F4, and ❤ or the 1 of a keycap becomes an emoji by a variation selector.
_TAGS = "\U000e0000-\U000e007f"
_SELECTORS = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
_MUSIC_AND_SHORTHAND = "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"


def strip_invisible(text: str, *, also: str = "") -> str:
    """The text without blanks, invisible characters, and those of `also` at its ends."""
    if text.isascii() and not also:  # then only blanks are invisible
        return text.strip()
    return text.strip(_at_ends() + also)


def invisible_in(text: str) -> str:
    """The name of the first invisible character inside a text, like `U+200B ZERO WIDTH SPACE`; empty if there is none."""
    found = None if text.isascii() else _inside().search(text)
    return f"U+{ord(found[0]):04X} {unicodedata.name(found[0], '')}".rstrip() if found else ""


@functools.cache
def _at_ends() -> str:
    """Blanks and invisible characters. No blank lies beyond U+3000; a look at all 65,536 would take 10 ms."""
    ranges = [(each[0], each[-1]) for each in re.findall(".-.|.", _JOINERS + _OTHERS)]
    blanks = "".join(filter(str.isspace, map(chr, range(0x3001))))
    return blanks + "".join(chr(number) for first, last in ranges for number in range(ord(first), ord(last) + 1))


@functools.cache
def _inside() -> re.Pattern[str]:
    return re.compile(
        rf"[{_OTHERS}{_MUSIC_AND_SHORTHAND}]|(?<=[\0-\x7f])[{_JOINERS}]|[{_JOINERS}](?=[\0-\x7f])"
        rf"|(?<![\U0001f3f4{_TAGS}])[{_TAGS}]|(?<=[\0-\x7f])(?!(?<=[0-9#*])\ufe0f\u20e3)[{_SELECTORS}]|^[{_SELECTORS}]"
    )
