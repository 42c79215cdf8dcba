"""Links to videos: unguessable, and dead after a while, as those of a storage that signs its URLs."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a link points to. The links of an earlier `epoch` are dead."""

    kling_task_id: str
    epoch: int
    watermark: bool


class Links:
    """Makes links, and reads only those that it made."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def path(self, link: Link) -> str:
        """The path of the video's URL."""
        name = f"{link.kling_task_id}-{link.epoch}-{'w' if link.watermark else 'o'}"
        return f"/videos/{name}-{self._seal(name)}.mp4"

    def read(self, file_name: str) -> Link | None:
        """The link behind the last part of a path; None for one that was not made here."""
        name, _, seal = file_name.removesuffix(".mp4").rpartition("-")
        if not seal.isascii() or not hmac.compare_digest(seal, self._seal(name)):
            return None
        kling_task_id, epoch, kind = name.split("-")
        return Link(kling_task_id=kling_task_id, epoch=int(epoch), watermark=kind == "w")

    def _seal(self, name: str) -> str:
        return blake2b(name.encode(), key=self._key, digest_size=12).hexdigest()
