"""Videos under their names in a folder or an object store: found again, and written without taking the place of another one.

A name that holds the task's id proves whose video it is. Under any other name the file itself says so, in a box that is
written with it (`mp4.identity_box`): so neither a crash nor a second writer can part the two.
May import `errors`, `redaction`, `mp4`, `naming` and `storage`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from airflow_provider_kling.errors import KlingDownloadError, KlingStorageError
from airflow_provider_kling.mp4 import Look, identity_box, look_at, why_not_mp4
from airflow_provider_kling.naming import VideoName
from airflow_provider_kling.object_paths import is_local, location_of, shown, storage_path
from airflow_provider_kling.redaction import show_reason
from airflow_provider_kling.storage import can_publish_new, finish_part, publish, publish_new, remove_old_parts, unfinished

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

_PROBE = 64 * 1024  # bytes that a look at an object's boxes loads at once

# What lies under a name.
NOTHING, DAMAGED, OWN, OTHER = "nothing", "no whole video", "this video", "something else"


@dataclass(eq=False)
class Place:
    """Where a video is, or is going to be.

    `may_replace`: the name belongs to this video alone, so that what is damaged under it gives way. `avoided`: the wanted
    name, if a file of something else has it. `path` is final as soon as the video is saved.
    """

    video: VideoName
    folder: ObjectStoragePath
    path: ObjectStoragePath
    may_replace: bool = False
    saved: bool = False
    avoided: str | None = None

    @property
    def location(self) -> str:
        return location_of(self.path)

    @property
    def note(self) -> str:
        """A sentence for the log about the name, where it is not the wanted one."""
        if not self.avoided:
            return ""
        return f"{self.avoided} is not this task's video, so the video gets a name with the id of its task."


def place_of(destination: str, video: VideoName) -> Place:
    """Where the video lies under the folder or URI `destination`, or where it is to be written. Blocks.

    Raises KlingStorageError if that cannot be read, or if files of something else have all its names.
    """
    folder = storage_path(destination)
    found: dict[str, str] = {}
    for name, proves in _names_of(video):
        if name != video.with_id or not video.proves or found[video.name] == OTHER:  # each look takes a request to a store
            found[name] = content_of(folder / name, video, proves=proves)
    if own := next((name for name, content in found.items() if content == OWN), None):
        return Place(video, folder, folder / own, saved=True)
    wanted = folder / video.name
    if found[video.name] == NOTHING and (video.proves or can_publish_new(wanted)):
        return Place(video, folder, wanted, may_replace=video.proves)
    if not video.with_id or (found[video.name] == DAMAGED and video.proves):
        return Place(video, folder, wanted, may_replace=True)
    avoided = None if found[video.name] == NOTHING else shown(wanted)
    if found.get(video.with_id) == NOTHING or (found.get(video.with_id) == DAMAGED and video.id_proves):
        return Place(video, folder, folder / video.with_id, may_replace=video.id_proves, avoided=avoided)
    raise KlingStorageError(
        f"{shown(wanted)} and {shown(folder / video.with_id)} are files of something else, which are never overwritten. "
        "Move one of them."
    )


def is_saved(destination: str, video: VideoName, location: str | None) -> bool:
    """Whether the video lies at this location, and that is one of its names under `destination`. Blocks.

    The location is only compared: a line that somebody has edited names no other place to look at.
    """
    folder = storage_path(destination)
    for name, proves in _names_of(video):
        if location_of(folder / name) == location:
            return content_of(folder / name, video, proves=proves) == OWN
    return False


@contextlib.contextmanager
def writing_video(place: Place) -> Iterator[IO[bytes]]:
    """A file for the bytes of a video, which gets its name when the block ends without an error. `place` is saved then.

    Raises KlingDownloadError unless the bytes are a whole MP4; nothing else is kept. Raises KlingStorageError where it cannot
    be written.
    """
    video = place.video
    with unfinished(place.path) as (file, part):
        yield file
        if why := why_not_mp4(file):
            raise KlingDownloadError(f"What came for {place.path.name} is no video: it {why}.", retryable=True)
        file.seek(0, os.SEEK_END)
        if not video.proves:
            file.write(identity_box(video.identity))
        finish_part(file)
        _give_name(part, place)
    place.saved = True


@contextlib.asynccontextmanager
async def awriting_video(place: Place) -> AsyncIterator[IO[bytes]]:
    """`writing_video` for asyncio: what blocks runs in a thread."""
    manager = writing_video(place)
    file = await asyncio.to_thread(manager.__enter__)
    try:
        yield file
    except BaseException as error:
        await asyncio.to_thread(manager.__exit__, type(error), error, error.__traceback__)
        raise
    await asyncio.to_thread(manager.__exit__, None, None, None)


def content_of(path: ObjectStoragePath, video: VideoName, *, proves: bool) -> str:
    """What lies there: NOTHING, DAMAGED, OWN or OTHER. `proves`: the name is enough where the file does not say whose it is."""
    if is_local(path):
        remove_old_parts(Path(path.path).parent)
    look = _look_at(path)
    if look is None:
        return OTHER if is_local(path) and os.path.lexists(path.path) else NOTHING
    if look.problem:
        return DAMAGED
    if look.identity is None:
        return OWN if proves else OTHER
    return OWN if look.identity == dict(video.identity) else OTHER


def is_video(path: ObjectStoragePath) -> bool:
    """Whether a whole MP4 lies there. Raises KlingStorageError if that cannot be read. Blocks."""
    look = _look_at(path)
    return look is not None and look.problem is None


def _look_at(path: ObjectStoragePath) -> Look | None:
    """What the boxes of a file say; None where there is no file."""
    try:
        if not path.is_file():
            return None
        with path.fs.open(path.path, "rb", block_size=_PROBE) as file:
            return look_at(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KlingStorageError(f"{shown(path)} could not be read: {show_reason(error, location_of(path))}.") from None


def _names_of(video: VideoName) -> list[tuple[str, bool]]:
    """The names that the video may have, the likeliest first, and whether each is enough to tell whose it is."""
    names = [(video.name, video.proves), (video.earlier, True), (video.with_id, video.id_proves)]
    return [(name, proves) for name, proves in names if name]


def _give_name(part: Path, place: Place) -> None:
    """Give the file its name; another one if a file of something else has got that meanwhile."""
    if place.may_replace:
        publish(part, place.path)
        return
    try:
        publish_new(part, place.path)
    except OSError:  # FileExistsError, if all stores were alike
        now = place_of(location_of(place.folder), place.video)
        if not now.saved:
            if now.path == place.path:
                raise
            (publish if now.may_replace else publish_new)(part, now.path)
        place.path, place.avoided = now.path, now.avoided
