"""One image, from wherever it is, as it goes to the API: a URL, or raw base64 of a checked JPEG or PNG.

What Kling would refuse minutes later (`Image pixel is invalid`) is refused here, before anything is spent.
A URL is not loaded: Kling does that, and only Kling knows what it sees there.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from typing import Any, BinaryIO, NoReturn
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from airflow_provider_kling.api import MAX_IMAGE_BYTES, MAX_IMAGE_RATIO, MIN_IMAGE_SIDE, is_url, strip_signature
from airflow_provider_kling.errors import KlingInputError

# What Pillow itself takes for a decompression bomb (PIL.Image.MAX_IMAGE_PIXELS): a quarter of 1 GiB over 3 bytes.
MAX_PIXELS = 1024 * 1024 * 1024 // 4 // 3

_WANTED = "JPEG or PNG"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
_HERE_ONLY = frozenset({"file", "local", "memory"})  # schemes that another machine reads differently, or not at all

# How base64 of JPEG, PNG, GIF and WebP starts. `/9j/` could be a folder, so what follows counts as well.
_BASE64_STARTS = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+(?:\r?\n[A-Za-z0-9+/]+)*={0,2}")
_SURELY_BASE64 = 256  # characters without a dot, dash or blank: longer than names of files get
_LONGEST_PATH = 4096  # bytes, PATH_MAX of Linux

_EXTRAS = {
    **dict.fromkeys(("s3", "s3a", "s3n"), ("s3", "apache-airflow-providers-amazon[s3fs]")),
    **dict.fromkeys(("gs", "gcs"), ("gcs", "apache-airflow-providers-google")),
    **dict.fromkeys(("abfs", "abfss", "adl", "az", "wasb"), ("azure", "apache-airflow-providers-microsoft-azure")),
}


def load_image(source: str) -> str:
    """The image as it goes to the API: an http(s) URL as it is, anything else as raw base64.

    `source` is an http(s) URL, a `data:` URI, raw base64, a local path, a `file://` URI, or the URI of any object store
    that Airflow's ObjectStoragePath reads (`s3://bucket/key`, `gs://…`, with a connection: `s3://conn_id@bucket/key`).
    Raises KlingInputError for what is not there, or is not an image that Kling takes; errors of the network pass through.
    """
    source = _text(source)
    if source.lower().startswith(("http:", "https:")):
        _check_url(source)
        return source
    shown = label(source)
    if is_inline(source):
        data = _decode(source, shown)
    elif (scheme := _scheme(source)) and scheme != "file":
        data = _read_store(source, scheme, shown)
    else:
        data = _read_file(source, shown)
    check_image(data, label=shown)
    return base64.b64encode(data).decode("ascii")


def check_image(data: bytes, *, label: str) -> None:
    """Raise KlingInputError, beginning with `label`, unless `data` is a whole JPEG or PNG within Kling's limits."""
    if len(data) > MAX_IMAGE_BYTES:
        _refuse_size(label, len(data))
    kind = _kind_of(data)
    if kind not in ("JPEG", "PNG"):
        raise KlingInputError(f"{label}: found {kind}; wanted {_WANTED}.")
    frames = _frames(data, kind, label)
    # A JPEG of several frames (MPO, from many phones) shows its first one everywhere; an animated PNG does not.
    if kind == "PNG" and frames > 1:
        raise KlingInputError(f"{label}: found an animated PNG of {frames} frames; wanted a still {_WANTED}.")


def is_portable(source: str) -> bool:
    """Whether another machine reads the same there: a URL, an object in a store, or a file in one of `shared_folders`.

    Any other file is not, and base64 is not.
    """
    source = _text(source)
    scheme = _scheme(source)
    if is_inline(source):
        return False
    if scheme is None or scheme == "file":
        path = os.path.normpath(re.sub(r"^file://(localhost(?=/))?", "", source, flags=re.IGNORECASE))
        return any(path.startswith(f"{folder.rstrip('/')}/") for folder in shared_folders())
    return scheme not in _HERE_ONLY


def shared_folders() -> list[str]:
    """The folders that all workers and triggerers see under the same path, as `[kling] shared_folders` says."""
    from airflow.providers.common.compat.sdk import conf

    folders = conf.get("kling", "shared_folders", fallback="") or ""
    return [os.path.normpath(folder) for folder in map(str.strip, folders.split(",")) if folder.startswith("/")]


def is_inline(source: str) -> bool:
    """Whether the text itself holds the image: a `data:` URI, or raw base64."""
    source = source.strip()
    if source[:5].lower() == "data:":
        return True
    if _SCHEME.match(source):
        return False
    if len(source) > _LONGEST_PATH:
        return True
    looks_so = _BASE64.fullmatch(source) is not None
    if source.startswith(_BASE64_STARTS):
        return (looks_so and len(source) >= 32) or len(source) >= _SURELY_BASE64
    return looks_so and len(source) >= _SURELY_BASE64


def holds_image(text: str) -> bool:
    """Whether a text that need not be an image source at all, like a cell of some column, is one written out."""
    if text[:11].lower() == "data:image/":
        return True
    text = text.strip()
    long_enough = 32 if text.startswith(_BASE64_STARTS) else _LONGEST_PATH
    return len(text) >= long_enough and _BASE64.fullmatch(text) is not None


def label(source: str) -> str:
    """What may be shown of it: a path, a URL without its signature and credentials, or the size of base64."""
    source = str(source).strip()
    if is_inline(source):
        what = "image in a data: URI" if source[:5].lower() == "data:" else "base64 image"
        return f"{what} ({len(source):,} characters)"
    if _SCHEME.match(source):
        try:
            source = strip_signature(source)
        except ValueError:  # no URL at all, like http://[ : show none of what may be secret in it
            source = source.partition("?")[0].rpartition("@")[2]
    shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in source[:300])
    return shown if len(source) <= 300 else f"{shown}…"


# --- Sources ---------------------------------------------------------------------------------------------------


def _text(source: object) -> str:
    if not isinstance(source, str):
        raise KlingInputError(f"An image is of type {type(source).__name__}; wanted a URL, a path, or base64 as text.")
    if not source.strip():
        raise KlingInputError("An image is empty; wanted a URL, a path, or base64.")
    return source.strip()


def _scheme(source: str) -> str | None:
    found = _SCHEME.match(source)
    return found[1].lower() if found else None


def _check_url(url: str) -> None:
    problem = ""
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        problem = "it has a blank inside, which is to be written %20"
    elif not is_url(url):
        problem = "two slashes are to follow its scheme"
    else:
        try:
            parts = urlsplit(url)
            if not parts.hostname or parts.port == 0:
                problem = "it names no host" if not parts.hostname else "its port is 0"
        except ValueError:
            problem = "its host or port is malformed"
    if problem:
        raise KlingInputError(f"{label(url)} is no URL that Kling can load: {problem}; wanted is one like https://host/image.jpg.")


def _decode(source: str, shown: str) -> bytes:
    """The bytes of raw base64 or of a `data:` URI."""
    if source[:5].lower() == "data:":
        head, comma, body = source.partition(",")
        if not comma:
            raise KlingInputError(f"{shown}: a data: URI has no comma; wanted data:image/jpeg;base64,… or raw base64.")
        if not head.lower().rstrip().endswith(";base64"):
            return unquote_to_bytes(body)
        source = unquote(body)
    text = "".join(source.split()).rstrip("=")
    if len(text) > (MAX_IMAGE_BYTES + 1) * 4 // 3 + 4:
        _refuse_size(shown, len(text) * 3 // 4)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise KlingInputError(f"{shown}: is not whole base64; wanted base64 of a {_WANTED} file, unbroken.") from None


def _read_file(source: str, shown: str) -> bytes:
    path = source
    if source[:5].lower() == "file:":
        path = re.sub(r"^file:(//(localhost(?=/))?)?", "", source, flags=re.IGNORECASE)
        # As Airflow's ObjectStoragePath reads it: the name as it stands. RFC 8089 wants %20 for a blank, so then that.
        path = path if os.path.lexists(path) or "\0" in path else unquote(path)
    try:
        facts = os.stat(path)
        if stat.S_ISDIR(facts.st_mode):
            raise KlingInputError(f"{shown}: found a directory; wanted a {_WANTED} file.")
        if not stat.S_ISREG(facts.st_mode):
            raise KlingInputError(f"{shown}: found a device, pipe or socket; wanted a {_WANTED} file.")
        if facts.st_size > MAX_IMAGE_BYTES:
            _refuse_size(shown, facts.st_size)
        with open(path, "rb") as file:
            return file.read(MAX_IMAGE_BYTES + 1)
    except KlingInputError:
        raise
    except FileNotFoundError:
        raise KlingInputError(f"{shown}: no such file on this machine; wanted the path of a {_WANTED} file, or a URL.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is malformed"
        raise KlingInputError(f"{shown}: cannot be read ({reason}); wanted a readable {_WANTED} file.") from None


def _read_store(uri: str, scheme: str, shown: str) -> bytes:
    from airflow.sdk import ObjectStoragePath

    try:
        path: Any = ObjectStoragePath(uri)
        _ = path.fs  # looks the scheme up among Airflow's file systems
    except (ValueError, ImportError):
        raise KlingInputError(_unknown_scheme(scheme, shown)) from None
    try:
        with path.open("rb") as file:
            return _read_limited(file, shown)
    except FileNotFoundError:
        raise KlingInputError(f"{shown}: no such object in the store; wanted the URI of a {_WANTED} file.") from None
    except IsADirectoryError:
        raise KlingInputError(f"{shown}: found a folder; wanted the URI of a {_WANTED} file.") from None
    except PermissionError:
        raise KlingInputError(f"{shown}: the store does not let this connection read it; wanted a readable object.") from None


def _read_limited(file: BinaryIO, shown: str) -> bytes:
    size = getattr(file, "size", None)
    if isinstance(size, int) and size > MAX_IMAGE_BYTES:
        _refuse_size(shown, size)
    return file.read(MAX_IMAGE_BYTES + 1)


def _unknown_scheme(scheme: str, shown: str) -> str:
    if scheme in _EXTRAS:
        extra, provider = _EXTRAS[scheme]
        return f"{shown}: {scheme}:// needs {provider}, which is not installed; install airflow-provider-kling[{extra}]."
    return (
        f"{shown}: no installed Airflow provider reads {scheme}://; wanted http(s)://, a path, "
        "s3:// (extra s3), gs:// (extra gcs), abfs:// (extra azure), or install the provider that brings it."
    )


# --- Content ---------------------------------------------------------------------------------------------------

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"\0\0\0\x0cjP", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "PDF"),
    (b"PK\3\4", "a ZIP or Office file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", **dict.fromkeys((b"heic", b"heix", b"hevc", b"mif1", b"msf1"), "HEIC")}


def _kind_of(data: bytes) -> str:
    """What the first bytes say it is."""
    if not data:
        return "an empty file"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "a video (MP4)")
    for start, kind in _STARTS:
        if data.startswith(start):
            return kind
    text = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"<svg" in text):
        return "SVG"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "HTML"
    if text.startswith((b"<?xml", b"<error")):
        return "XML"
    return "text" if text.isascii() and not re.search(rb"[\x00-\x08\x0e-\x1f]", text) else "an unknown format"


def _frames(data: bytes, kind: str, label: str) -> int:
    """How many frames an image has that can be decoded to its last pixel and keeps Kling's limits."""
    from io import BytesIO

    from PIL import Image, UnidentifiedImageError

    def opened() -> Image.Image:
        # Only these two of Pillow's decoders are ever let near the bytes of a stranger.
        return Image.open(BytesIO(data), formats=("JPEG", "PNG"))

    try:
        with opened() as image:
            frames = int(getattr(image, "n_frames", 1))
            width, height = image.size
            _check_sides(width, height, label)  # before a pixel is decoded
            image.verify()
        with opened() as image:
            image.draft(image.mode, (1, 1))  # a JPEG is read whole all the same, in a 64th of the memory
            image.load()
        if not _has_end(data, kind):
            raise EOFError("truncated")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise KlingInputError(f"{label}: has more than {MAX_PIXELS:,} pixels; wanted fewer (a decompression bomb?).") from None
    except UnidentifiedImageError:
        raise KlingInputError(f"{label}: found a broken {kind}, its header cannot be read; wanted a whole file.") from None
    except KlingInputError:
        raise
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise whatever a broken file makes them stumble over
        what = "truncated" if "truncated" in str(error).lower() else "broken"
        raise KlingInputError(f"{label}: found a {what} {kind}, which cannot be decoded; wanted a whole file.") from None
    return frames


def _has_end(data: bytes, kind: str) -> bool:
    """Whether the mark at its end is there, which Pillow does not always miss. Phones write more data behind it."""
    if kind == "PNG":
        return b"IEND\xaeB`\x82" in data
    scan = 2  # a JPEG's segments, one of which may hold a thumbnail with an end of its own, up to the first scan
    while data[scan : scan + 1] == b"\xff" and data[scan + 1 : scan + 2] != b"\xda":
        scan += 1 if data[scan + 1 : scan + 2] == b"\xff" else 2 + int.from_bytes(data[scan + 2 : scan + 4], "big")
    return data.find(b"\xff\xd9", scan) >= 0


def _check_sides(width: int, height: int, label: str) -> None:
    if width * height > MAX_PIXELS:
        raise KlingInputError(
            f"{label}: has {width:,} × {height:,} pixels; wanted are at most {MAX_PIXELS:,} in all (a decompression bomb?)."
        )
    if min(width, height) < MIN_IMAGE_SIDE:
        raise KlingInputError(f"{label}: has {width} × {height} pixels; wanted are at least {MIN_IMAGE_SIDE} on each side.")
    if max(width, height) > MAX_IMAGE_RATIO * min(width, height):
        raise KlingInputError(
            f"{label}: has {width} × {height} pixels, an aspect ratio of {_ratio(width, height)}; "
            f"wanted is one between 1:{MAX_IMAGE_RATIO:g} and {MAX_IMAGE_RATIO:g}:1."
        )


def _ratio(width: int, height: int) -> str:
    return f"{width / height:.3g}:1" if width > height else f"1:{height / width:.3g}"


def _refuse_size(label: str, size: int) -> NoReturn:
    raise KlingInputError(f"{label}: has {size:,} bytes; wanted are at most {MAX_IMAGE_BYTES:,} (10 MB).")
