"""Pictures: small copies of input images, and drawings for images that are not available."""

from __future__ import annotations

import io
import math
from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING

from airflow_provider_kling.api import Refusal

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_SIDE = 640  # pixels of a copy
DRAWINGS = 12
_DRAWN = "drawn:"


class Store:
    """Bytes by key, up to a total size; it drops what has not been used for longest."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._items: OrderedDict[str, bytes] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        """The bytes, if they are still stored."""
        data = self._items.get(key)
        if data is not None:
            self._items.move_to_end(key)
        return data

    def put(self, key: str, data: bytes) -> None:
        """Store bytes for as long as there is space."""
        self._size += len(data) - len(self._items.pop(key, b""))
        self._items[key] = data
        while self._size > self._limit and len(self._items) > 1:
            self._size -= len(self._items.popitem(last=False)[1])


def thumbnail(data: bytes) -> tuple[bytes, tuple[int, int]]:
    """A small JPEG of the image, and the image's own width and height. Refusal 1201 if it cannot be decoded."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            size = image.size
            image.draft("RGB", (MAX_SIDE, MAX_SIDE))
            small = image.convert("RGB")
        small.thumbnail((MAX_SIDE, MAX_SIDE))
        return _jpeg(small), size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        # Pillow raises these for broken files: UnidentifiedImageError is an OSError, a bad PNG chunk a SyntaxError.
        raise Refusal(1201, "Image is invalid: it can not be decoded as JPEG or PNG") from None


def drawn_key(text: str) -> str:
    """The key of a drawing for this URL or prompt: one of a few, so that many tasks share a video."""
    return f"{_DRAWN}{sha256(text.encode()).digest()[0] % DRAWINGS}"


def opened(key: str, data: bytes | None) -> Image:
    """The picture from its stored copy, or a drawing if `data` is None."""
    from PIL import Image

    if data is not None:
        return Image.open(io.BytesIO(data), formats=("JPEG",)).convert("RGB")
    number = int(key.removeprefix(_DRAWN)) if key.startswith(_DRAWN) else int(key[:8], 16)
    return _drawing(number % DRAWINGS)


def _drawing(number: int) -> Image:
    from PIL import Image, ImageDraw

    image = Image.new("HSV", (480, 480), (number * 255 // DRAWINGS, 110, 210))
    draw = ImageDraw.Draw(image)
    for step in range(3 + number % 4):
        angle = 2 * math.pi * (step / (3 + number % 4) + number / DRAWINGS)
        x, y = 240 + 130 * math.cos(angle), 240 + 130 * math.sin(angle)
        draw.ellipse((x - 60, y - 60, x + 60, y + 60), fill=((number * 20 + step * 40) % 255, 160, 240))
    return image.convert("RGB")


def _jpeg(image: Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
