"""Videos: a short MP4 of the input images, another one for each scene; without PyAV always the packaged clip."""

from __future__ import annotations

import asyncio
import functools
import importlib.resources
import importlib.util
import io
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.emulator.videos.pictures import Store, opened

if TYPE_CHECKING:
    from PIL.Image import Image

FRAME_RATE = 24
SECONDS = 2.0  # of every video, also of the packaged clip
WIDTH = 480  # pixels of a single picture; each of two has two thirds of it


class Videos:
    """Makes each video when it is first requested, and stores the last ones."""

    def __init__(self, *, pictures: Store) -> None:
        self._pictures = pictures
        self._made = Store(limit=64 * 2**20)
        self._making: dict[str, asyncio.Future[bytes]] = {}
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kling-videos")
        self.always_clip = False
        self._can_make = importlib.util.find_spec("av") is not None

    async def get(self, *, title: str, pictures: Sequence[str], watermark: bool) -> bytes:
        """The video with this title and the pictures of these keys, at least one."""
        if self.always_clip or not self._can_make:
            return clip()
        key = "\n".join((title, str(watermark), *pictures))
        made = self._made.get(key)
        if made is None:
            if key not in self._making:
                images = [(picture, self._pictures.get(picture)) for picture in pictures]
                work = functools.partial(make, title, images, watermark=watermark)
                self._making[key] = asyncio.get_running_loop().run_in_executor(self._threads, work)
            try:
                made = await asyncio.shield(self._making[key])
            finally:
                self._making.pop(key, None)
            self._made.put(key, made)
        return made

    def close(self) -> None:
        """Stop making videos. One that has begun is finished first."""
        self._threads.shutdown(wait=True, cancel_futures=True)


@functools.cache
def clip() -> bytes:
    """The packaged video."""
    return importlib.resources.files(__package__).joinpath("clip.mp4").read_bytes()


def make(title: str, images: Sequence[tuple[str, bytes | None]], *, watermark: bool) -> bytes:
    """An H.264 MP4 of the pictures. The title decides movement and tint, and is the caption.

    `images` are keys and copies of the pictures, at least one.
    """
    import av
    from PIL import Image

    frames: Any = av.VideoFrame  # PyAV types only a part of it
    canvas = _canvas([opened(key, data) for key, data in images])
    caption = _caption(title, canvas.width, watermark=watermark)
    digest = sha256(title.encode()).digest()
    window = WINDOWS[digest[0] % len(WINDOWS)]
    tint = Image.new("RGB", canvas.size, (digest[1], digest[2], digest[3]))
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE, options={"preset": "veryfast", "crf": "28"})
        stream.width, stream.height, stream.pix_fmt = canvas.width, canvas.height, "yuv420p"
        count = int(SECONDS * FRAME_RATE)
        for number in range(count):
            time = number / (count - 1)
            image = canvas.resize(canvas.size, box=_box(window(time), canvas.size))
            image = Image.blend(image, tint, 0.05 + 0.3 * math.sin(math.pi * time) ** 2)
            image.paste(caption, (0, canvas.height - caption.height))
            frame = frames.from_image(image)
            frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


# Movements of a camera over the picture. Each maps the time (0 to 1) to the window's size, and to the place of its left and
# upper edge, all as fractions of what is possible.
WINDOWS: tuple[Callable[[float], tuple[float, float, float]], ...] = (
    lambda t: (1 - 0.4 * t, 0.5, 0.5),
    lambda t: (0.6 + 0.4 * t, 0.5, 0.5),
    lambda t: (0.7, t, 0.5),
    lambda t: (0.7, 1 - t, 0.5),
    lambda t: (0.7, 0.5, t),
    lambda t: (0.7, 0.5, 1 - t),
    lambda t: (0.75 + 0.2 * math.cos(4 * math.pi * t), 0.5, 0.5),
    lambda t: (0.7, 0.5 + 0.5 * math.cos(2 * math.pi * t), 0.5 + 0.5 * math.sin(2 * math.pi * t)),
)


def _box(window: tuple[float, float, float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    scale, left, top = window
    width, height = size[0] * scale, size[1] * scale
    x, y = (size[0] - width) * left, (size[1] - height) * top
    return x, y, x + width, y + height


def _canvas(pictures: Sequence[Image]) -> Image:
    """A single picture in its own shape, or several of equal size side by side, the first on the left."""
    from PIL import Image, ImageOps

    if len(pictures) == 1:
        width, height = pictures[0].size
        scale = WIDTH / max(width, height)
        return pictures[0].resize((_even(width * scale), _even(height * scale)))
    half = (WIDTH * 2 // 3 // 2 * 2, WIDTH)
    canvas = Image.new("RGB", (half[0] * len(pictures), half[1]))
    for place, picture in enumerate(pictures):
        canvas.paste(ImageOps.fit(picture, half), (place * half[0], 0))
    return canvas


def _caption(title: str, width: int, *, watermark: bool) -> Image:
    from PIL import Image, ImageDraw, ImageFont

    strip = Image.new("RGB", (width, 32), (20, 20, 28))
    text = f"Kling emulator · {title}" if watermark else title
    ImageDraw.Draw(strip).text((10, 6), text, fill=(240, 240, 240), font=ImageFont.load_default(size=16))
    return strip


def _even(side: float) -> int:
    """A side in pixels; H.264 in yuv420p needs even ones."""
    return max(64, round(side / 2) * 2)
