"""What is secret in a path, URL or URI: credentials, and parameters that sign it. `redaction` shows a place without them.

It reads malformed places, too, those whose scheme was forgotten, and percent-encoded ones: in doubt, a part is hidden. Pure.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from airflow_provider_kling.patterns import pattern

# Parameters that may be shown with their values. Any other may be a secret: signatures and tokens have many names.
_HARMLESS_PARAMETERS = pattern(
    "alt|crop|dpr|ext|file|filename|fit|fm|format|h|height|id|index|lang|mode|n|name|page|q|quality|rev|row|size|type|v|"
    "version|versionid|w|width|x|y|z",
    re.IGNORECASE,
)
HIDDEN = "…"
LONGEST_PATH = 4096  # bytes, PATH_MAX of Linux
SCHEME = pattern(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
_SHORTEST_SECRET = 4  # characters; a shorter one cannot be told from the text around it
_ANY_SCHEME = pattern(r"[A-Za-z][A-Za-z0-9+.\-]{0,30}://")
_EACH_URL = pattern(r"(?<![A-Za-z0-9+.\-])(?=[A-Za-z][A-Za-z0-9+.\-]{0,30}://)")
_WITH_PORT = frozenset({"http", "https", "ftp", "ftps", "sftp", "ssh", "smb", "hdfs", "webhdfs", "socks5", "socks5h", "socks4"})
_HOST_AND_PORT = pattern(r"(\[[^\]]*\]|[^:@\[]*):\d{0,5}|\[[^\]]*\]")
# `user:password@` in a place without a scheme: not the time of a folder like `2026-01-01T00:00:00+00:00/`.
_PASSWORD = pattern(r"(?:^|(?<=[/\\]))[^/\\:@]*:(?![\d:+.\-ZT]*[/\\]).*@")


def hide_secrets(place: str) -> str:
    """A path, URL or URI, also a malformed one, without what may be secret in it: credentials, and parameters."""
    if place.count(":") == place.count("://") <= 1 and not any(mark in place for mark in "@?#%"):
        return place  # nothing in it can be a user, a password or a parameter
    if not _ANY_SCHEME.search(place) and _ANY_SCHEME.search(unquote(place)):
        place = unquote(place)
    mark = _query_start(place)
    urls = [_without_user(url, at_follows="@" in place[mark:]) for url in _EACH_URL.split(place[:mark])]
    return "".join(urls) + hide_parameters(place[mark:])


def _query_start(place: str) -> int:
    """Where the parameters begin. Keys of objects and names of files may hold `?` and `#`; only in a URL these always count."""
    in_url = re.search("https?://", place, re.IGNORECASE) is not None
    marks = (found.start() for found in re.finditer("[?#]", place))
    return next((mark for mark in marks if in_url or "=" in place[mark:]), len(place))


def _without_user(place: str, *, at_follows: bool) -> str:
    """A place without user and password, wherever the `@` stands: a secret key may hold slashes, a password `?`."""
    found = SCHEME.match(place) or re.match("//", place)
    if found is None:
        return _PASSWORD.sub(f"{HIDDEN}@", place)
    slashes, rest = found[0], place[found.end() :]
    if "@" not in _authority(rest) and "@" in unquote(_authority(rest)):
        rest = unquote(rest)
    if _no_port(slashes, rest):
        hide_all = "@" not in rest and (at_follows or slashes[:-3].lower() not in _WITH_PORT)
        return slashes + (HIDDEN if hide_all else rest.rpartition("@")[2])
    return slashes + _PASSWORD.sub(f"{HIDDEN}@", rest[_authority(rest).rfind("@") + 1 :])


def _authority(rest: str) -> str:
    return re.split(r"[/\\]", rest, maxsplit=1)[0]


def _no_port(slashes: str, rest: str) -> bool:
    """Whether the colon before the first slash is that of a password, and not that of a port."""
    authority = _authority(rest)
    has_port = _HOST_AND_PORT.fullmatch(authority) and (slashes == "//" or slashes[:-3].lower() in _WITH_PORT)
    return ":" in authority and not has_port


def holds_password(place: str) -> bool:
    """Whether a place has a user and a password before its host or bucket, also one whose scheme is missing."""
    place = place if _ANY_SCHEME.search(place) else unquote(place)
    scheme, slashes, rest = place.partition("://")
    if not slashes:
        return re.match(r"(//)?[^/\\:@]+:[^/\\@]+@", place) is not None
    rest = rest if "@" in _authority(rest) else unquote(rest)
    return "@" in rest and _no_port(scheme + slashes, rest)


def hide_parameters(query: str) -> str:
    """The parameters with those values that are surely no secret."""
    shown: list[str] = []
    for part in re.split("[&;?#]", query[1:]):
        part = part if _is_harmless(part) else HIDDEN
        if part != HIDDEN or shown[-1:] != [HIDDEN]:
            shown.append(part)
    return query[:1] + "&".join(shown) if query else ""


def _is_harmless(parameter: str) -> bool:
    name, equals, value = parameter.partition("=")
    return bool(equals and _HARMLESS_PARAMETERS.fullmatch(name)) and len(value) <= 100 and "//" not in unquote(value)


def secrets_in(place: str) -> list[str]:
    """What `show_place` hides of a place, piece by piece, as a library's error may repeat it: as written, or unquoted."""
    if hide_secrets(place) == place:
        return []
    pieces: set[str] = set()
    for form in (place[:LONGEST_PATH], unquote(place[:LONGEST_PATH])):
        rest = form[found.end() :] if (found := _ANY_SCHEME.search(form)) else form
        user, _, _ = rest.rpartition("@") if ":" in rest or found else ("", "", "")
        mark = _query_start(form)
        hidden = [part.partition("=") for part in re.split("[&;?#]", form[mark + 1 :]) if not _is_harmless(part)]
        pieces |= {user, user.partition(":")[2], form[mark + 1 :], *(value or name for name, _, value in hidden)}
    pieces |= {unquote(piece) for piece in pieces}
    return sorted((piece for piece in pieces if len(piece) >= _SHORTEST_SECRET), key=len, reverse=True)
