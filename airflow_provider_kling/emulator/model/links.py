"""Links to videos. Like a storage's signed URLs they cannot be guessed, and they expire."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a link points to. A link of an earlier `epoch` has expired."""

    kling_task_id: str
    epoch: int
    watermark: bool


class Links:
    """Makes links, and reads only those that it made. `key` signs them."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def path(self, link: Link) -> str:
        """The path of the video's URL."""
        name = f"{link.kling_task_id}-{link.epoch}-{'w' if link.watermark else 'o'}"
        return f"/videos/{name}-{self._sign(name)}.mp4"

    def read(self, file_name: str) -> Link | None:
        """The link whose path ends with this file name; None if it was not made with this key."""
        name, _, signature = file_name.removesuffix(".mp4").rpartition("-")
        if not signature.isascii() or not hmac.compare_digest(signature, self._sign(name)):
            return None
        kling_task_id, epoch, kind = name.split("-")
        return Link(kling_task_id=kling_task_id, epoch=int(epoch), watermark=kind == "w")

    def _sign(self, name: str) -> str:
        return blake2b(name.encode(), key=self._key, digest_size=12).hexdigest()
