"""The checks of one image: of its base64 and its bytes. Nothing is opened.

What Kling would refuse minutes later (`Image pixel is invalid`) is refused here, before anything is spent.
A URL is not loaded: Kling does that, and only Kling knows what it sees there.
"""

from __future__ import annotations

import base64
import binascii
import re
from io import BytesIO
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote, unquote_to_bytes

from airflow_provider_kling.api import MAX_IMAGE_BYTES, MAX_IMAGE_RATIO, MIN_IMAGE_SIDE
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.manifests.pixels import PixelBudget
from airflow_provider_kling.manifests.png import WrongChecksum, picture_of

if TYPE_CHECKING:
    from PIL import Image

# What Pillow itself takes for a decompression bomb (PIL.Image.MAX_IMAGE_PIXELS): a quarter of 1 GiB over 3 bytes.
MAX_PIXELS = 1024 * 1024 * 1024 // 4 // 3

_DECODED = PixelBudget(MAX_PIXELS)  # of all threads at once: as many as a single image may have

WANTED = "JPEG or PNG"


def check_image(data: bytes, *, label: str) -> None:
    """Raise KlingInputError unless `data` is a whole JPEG or PNG within Kling's limits. `label` begins its text."""
    if len(data) > MAX_IMAGE_BYTES:
        refuse_size(label, len(data))
    format = _format_of(data)
    if format not in ("JPEG", "PNG"):
        raise KlingInputError(f"{label}: found {format}; wanted {WANTED}.")
    try:
        picture = picture_of(data) if format == "PNG" else data
    except WrongChecksum as error:
        raise KlingInputError(f"{label}: its {error} has a wrong checksum; wanted a whole file: save the image anew.") from None
    frames = _count_frames(picture, format, label)
    # A JPEG of several frames (MPO, from many phones) shows its first one everywhere; an animated PNG does not.
    if format == "PNG" and frames > 1:
        raise KlingInputError(f"{label}: found an animated PNG of {frames} frames; wanted a still {WANTED}.")


def decode_inline(source: str, *, label: str) -> bytes:
    """The bytes of raw base64 or of a `data:` URI. Raises KlingInputError, beginning with `label`, for anything else."""
    if source[:5].lower() == "data:":
        head, comma, body = source.partition(",")
        if not comma:
            raise KlingInputError(f"{label}: a data: URI has no comma; wanted data:image/jpeg;base64,… or raw base64.")
        if not head.lower().rstrip().endswith(";base64"):
            return unquote_to_bytes(body)
        source = unquote(body)
    text = "".join(source.split()).rstrip("=")
    if len(text) > (MAX_IMAGE_BYTES + 1) * 4 // 3 + 4:
        refuse_size(label, len(text) * 3 // 4)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise KlingInputError(f"{label}: is not whole base64; wanted base64 of a {WANTED} file, unbroken.") from None


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
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "PDF"),
    (b"PK\3\4", "a ZIP or Office file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)
# The brands of still images and their sequences: ISO/IEC 23008-12, annexes B to E, and the AV1 image format.
_HEIC = b"heic heix heim heis hevc hevx hevm hevs mif1 mif2 msf1 miaf".split()
_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"crx ": "a raw photo (CR3)",
    **dict.fromkeys(_HEIC, "HEIC"),
    **dict.fromkeys((b"avci", b"avcs", b"jpeg", b"jpgs"), "HEIF"),
}


def _format_of(data: bytes) -> str:
    """The format of an image, or the kind of another file, by its first bytes."""
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


def _count_frames(data: bytes, format: str, label: str) -> int:
    """The number of frames. Raises KlingInputError for an image that cannot be decoded whole or exceeds Kling's limits."""
    from PIL import Image, UnidentifiedImageError

    try:
        with _open(data) as image:
            frames = int(getattr(image, "n_frames", 1))
            width, height = image.size
            _check_sides(width, height, label)  # before a pixel is decoded
            image.verify()
        _DECODED.decode(width * height, lambda: _decode(data))
        if not _has_end(data, format):
            raise EOFError("truncated")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise KlingInputError(f"{label}: has more than {MAX_PIXELS:,} pixels; wanted fewer (a decompression bomb?).") from None
    except UnidentifiedImageError:
        raise KlingInputError(f"{label}: found a broken {format}, its header cannot be read; wanted a whole file.") from None
    except KlingInputError:
        raise
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise errors of any type for a broken file
        what = "truncated" if "truncated" in str(error).lower() else "broken"
        raise KlingInputError(f"{label}: found a {what} {format}, which cannot be decoded; wanted a whole file.") from None
    return frames


def _decode(data: bytes) -> None:
    with _open(data) as image:
        image.draft(image.mode, (1, 1))  # a JPEG is read whole all the same, in a 64th of the memory
        image.load()


def _open(data: bytes) -> Image.Image:
    from PIL import Image

    # An image may come from anybody, so only these two of Pillow's decoders read it.
    return Image.open(BytesIO(data), formats=("JPEG", "PNG"))


def _has_end(data: bytes, format: str) -> bool:
    """Whether the mark of its end is there, whose absence Pillow does not always report. Phones write more data behind it."""
    if format == "PNG":
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


def refuse_size(label: str, size: int) -> NoReturn:
    """Raise the KlingInputError for an image of so many bytes, which are too many."""
    raise KlingInputError(f"{label}: has {size:,} bytes; wanted are at most {MAX_IMAGE_BYTES:,} (10 MB).")
