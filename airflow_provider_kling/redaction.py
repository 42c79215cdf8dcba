"""Places, URLs, images and errors, made safe to show in a log, an error, a report or Airflow's UI.

Signatures, credentials, tokens and images written as base64 stay out of what these functions return. Pure: no I/O.
May import `errors` and `places`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from airflow_provider_kling.errors import KlingError
from airflow_provider_kling.patterns import pattern
from airflow_provider_kling.places import HIDDEN, LONGEST_PATH, SCHEME, hide_parameters, hide_secrets, secrets_in

MAX_ERROR = 2000  # characters of an error
MAX_PLACE = 300  # characters of a path or URL

# --- URLs ------------------------------------------------------------------------------------------------------


def scheme_of(place: str) -> str | None:
    """The scheme of a URL or URI in lower case, like `s3` of `s3://bucket/key`; None for a path."""
    found = SCHEME.match(place)
    return found[1].lower() if found else None


def show_url(url: str) -> str:
    """The URL without its query, fragment and credentials."""
    try:
        urlsplit(url)
        return harmless(re.split("[?#]", hide_secrets(url))[0])
    except ValueError:
        return "(not a URL)"


def show_host(url: str) -> str:
    """The host of a video's URL. Raises ValueError for what is no URL."""
    return harmless(urlsplit(hide_secrets(url)).hostname or "the video's host")


def is_link(url: object) -> bool:
    """Whether a browser may open this: an http(s) URL with a host, and no `javascript:` or the like."""
    if not isinstance(url, str) or not url[:8].lower().startswith(("http://", "https://")) or harmless(url) != url:
        return False
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


# --- Images as text --------------------------------------------------------------------------------------------

# How base64 of JPEG, PNG, GIF and WebP starts. `/9j/` could be a folder, so what follows counts as well.
_BASE64_STARTS = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR")
_BASE64 = pattern(r"[A-Za-z0-9+/]+(?:\r?\n[A-Za-z0-9+/]+)*={0,2}")
_SHORTEST_IMAGE = 32  # characters of base64 that starts like an image
_SURELY_BASE64 = 256  # characters without a dot, dash or blank: longer than names of files get


def is_inline(source: str) -> bool:
    """Whether the source of an image holds the image itself, as a `data:` URI or raw base64, and is no path or URL."""
    source = source.strip()
    if source[:5].lower() == "data:":
        return True
    if SCHEME.match(source):
        return False
    if len(source) > LONGEST_PATH:
        return True
    is_base64 = _BASE64.fullmatch(source) is not None
    if source.startswith(_BASE64_STARTS):
        return (is_base64 and len(source) >= _SHORTEST_IMAGE) or len(source) >= _SURELY_BASE64
    return is_base64 and len(source) >= _SURELY_BASE64


def holds_image(text: str) -> bool:
    """Whether any text, like a cell of some column, is an image written as base64. Stricter than `is_inline`."""
    if text[:11].lower() == "data:image/":
        return True
    text = text.strip()
    long_enough = _SHORTEST_IMAGE if text.startswith(_BASE64_STARTS) else LONGEST_PATH
    return len(text) >= long_enough and _BASE64.fullmatch(text) is not None


def show_place(source: str) -> str:
    """The source of an image, or the location of a file, in at most 300 printable characters.

    A path is shown as it is, a URL without credentials and without the values of parameters that may sign it; of base64 only
    the size is shown. It also hides what is secret in a malformed URL, in one without its scheme, or percent-encoded.
    """
    source = str(source).strip()
    if is_inline(source):
        what = "image in a data: URI" if source[:5].lower() == "data:" else "base64 image"
        return f"{what} ({len(source):,} characters)"
    source = hide_secrets(source[:LONGEST_PATH])
    shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in source[:MAX_PLACE])
    return shown if len(source) <= MAX_PLACE else f"{shown}…"


# --- Texts -----------------------------------------------------------------------------------------------------

# What could forge a line of a log, steer a terminal, or hide or turn around what a reader sees; and what cannot be stored.
# None of it is printable, so it is in no id that this package accepts.
_HARMFUL = pattern(
    "[\0-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
_SHORTEST_WITHIN = 200  # characters of an image within a text
_BASE64_WITHIN = pattern(rf"[A-Za-z0-9+/]{{{_SHORTEST_WITHIN},}}={{0,2}}")
_URL_WITHIN = pattern(r"(?<![A-Za-z0-9+.\-])[A-Za-z][A-Za-z0-9+.\-]{0,30}(?:://|%3[Aa]%2[Ff]%2[Ff])[^\s'\"<>`]+")
_TOKEN = pattern(r"(?i)\bbearer\s+[\w.~+/=-]+")
_AUTHORIZATION = pattern(r"(?i)(authorization['\"]?\s?[:=]\W{0,3}(?!bearer)\w+\s+)[\w.~+/=-]+")
_QUERY_WITHIN = pattern(r"(?<=[\w/])\?[\w.%-]+=[^\s'\"<>`]*")
# Where a match could begin earlier, none is tried for: from each of 20,000 characters to their end would take a second.
_USER_WITHIN = pattern(r"(?<![^\s/@:'\"(`])(?<![^\s/@:'\"(`]:)[^\s/@:'\"(`]+:[^\s/@'\"`]+@(?=[\w\[])")
_JWT = pattern(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?")

_MARKS = ("://", "%3a", "bearer", "authorization", "?", "@", "eyj")  # without one of these, none of the patterns is in a text


def harmless(text: str) -> str:
    """A text without line ends, control characters and characters that hide or turn around others: each becomes a blank or �."""
    if text.isprintable():
        return text
    return _HARMFUL.sub(lambda found: " " if found[0].isspace() else "\ufffd", text)


def one_line(text: str) -> str:
    """A text on one line, without images and tokens, and with its URLs as `show_place` shows them."""
    text = harmless(" ".join(text[: 10 * MAX_ERROR].split()))
    lowered = text.lower()
    if len(text) < _SHORTEST_WITHIN and not any(mark in lowered for mark in _MARKS):
        return text
    text = _BASE64_WITHIN.sub(lambda found: f"[{len(found[0]):,} characters of base64]", text)
    text = _URL_WITHIN.sub(lambda found: _cut_out(found[0], hide_secrets), text)
    text = _QUERY_WITHIN.sub(lambda found: _cut_out(found[0], hide_parameters), text)
    text = _USER_WITHIN.sub(f"{HIDDEN}@", text)
    return _JWT.sub("…", _AUTHORIZATION.sub(r"\1…", _TOKEN.sub("Bearer …", text)))


def _cut_out(found: str, show: Callable[[str], str]) -> str:
    """What was found in a sentence, shown, with the marks that end the sentence or its bracket as they are."""
    bare = found.rstrip(").,;:!]}")
    return show(bare) + found[len(bare) :]


def show_text(text: str) -> str:
    """A text on one line, without images and tokens, in at most 2,000 characters."""
    return _cut(one_line(text))


def show_error(error: BaseException) -> str:
    """An error on one line, without images and tokens, in at most 2,000 characters.

    An error that is none of this package's begins with its type: `ValueError: …`.
    """
    name, text = type(error).__name__, one_line(str(error))
    if not isinstance(error, KlingError):
        text = f"{name}: {text}" if text else name
    return _cut(text or name)


def show_reason(error: BaseException, *places: str) -> str:
    """What an error says, without what is secret in these places, in at most 2,000 characters.

    Libraries repeat a location whole, in part or unquoted, and so would the text of an error that names theirs.
    """
    text = str(getattr(error, "strerror", None) or error) or type(error).__name__
    for place in places:
        for secret in secrets_in(place):
            text = text.replace(secret, HIDDEN)
    return show_text(text).rstrip(".")


def _cut(text: str) -> str:
    return text if len(text) <= MAX_ERROR else f"{text[: MAX_ERROR - 1]}…"
