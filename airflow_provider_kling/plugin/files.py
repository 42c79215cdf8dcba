"""Files that results name, opened for a browser: videos and images, and only if that is what they are.

A result is data: whoever writes a DAG decides which places are in it. So a file is handed out only if its bytes are those of an MP4
or of an image, it is a regular file, and no symbolic link leads out of its folder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_kling.mp4 import why_not_mp4
from airflow_provider_kling.plugin.cache import Cache
from airflow_provider_kling.plugin.ranges import etag_of
from airflow_provider_kling.plugin.stores import UnreadableError
from airflow_provider_kling.redaction import scheme_of
from airflow_provider_kling.storage import time_of

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

LARGEST_IMAGE = 64 * 1024 * 1024  # bytes
MOST_CHECKED = 10_000  # files whose content is known to be what it should be
_BLOCK = 256 * 1024  # bytes that an object store is asked for at least
_NOT_THERE = "there is no such file"

_checked: Cache[tuple[str, str], str] = Cache(MOST_CHECKED)  # place and version → media type


class NoSuchFileError(UnreadableError):
    """A place at which nothing lies."""


@dataclass(frozen=True, kw_only=True)
class OpenFile:
    """An open file, its size, its version and what it is. Whoever gets it closes `file`."""

    file: IO[bytes]
    size: int
    etag: str
    modified: datetime | None
    media_type: str
    name: str


def open_video(place: str) -> OpenFile:
    """A saved video. Raises UnreadableError where it cannot be read, and for what is no whole MP4."""
    return _open(place, _video_type)


def open_image(place: str) -> OpenFile:
    """An image of a row. Raises UnreadableError where it cannot be read, and for what is neither JPEG nor PNG."""
    return _open(place, _image_type)


def _video_type(file: IO[bytes], size: int) -> str:
    if why_not_mp4(file):  # what it says tells of the file's bytes, which are not the reader's
        raise ValueError("it is no whole MP4")
    return "video/mp4"


def _image_type(file: IO[bytes], size: int) -> str:
    head = file.read(16)
    if size > LARGEST_IMAGE:
        raise ValueError(f"it has {size:,} bytes, too many for an image")
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    raise ValueError("it is neither JPEG nor PNG")


def _open(place: str, type_of: Callable[[IO[bytes], int], str]) -> OpenFile:
    from airflow_provider_kling.object_paths import is_local, storage_path

    try:
        if scheme_of(place) in ("http", "https"):
            raise ValueError("it is a link")
        path = storage_path(place)
        file, size, modified, version = _open_local(path) if is_local(path) else _open_object(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise NoSuchFileError(place, _NOT_THERE) from None
    except Exception as error:  # noqa: BLE001 - each store has errors of its own
        raise UnreadableError(place, error) from None
    try:
        etag = etag_of(place, size, version)
        media_type = _known_type(place, etag, lambda: type_of(file, size), type_of)
    except ValueError as error:
        file.close()
        raise UnreadableError(place, str(error)) from None
    except Exception as error:  # noqa: BLE001 - as above
        file.close()
        raise UnreadableError(place, error) from None
    return OpenFile(file=file, size=size, etag=etag, modified=modified, media_type=media_type, name=path.name)


def _known_type(place: str, etag: str, look: Callable[[], str], kind: Any) -> str:
    """The media type. An object store is not asked for the boxes of a video again at each piece of it."""
    key = (f"{kind.__name__} {place}", etag)
    return _checked.get(key) or _checked.put(key, look())


def _open_local(path: ObjectStoragePath) -> tuple[IO[bytes], int, datetime, object]:
    real = os.path.realpath(path.path, strict=True)
    folder = os.path.realpath(os.path.dirname(os.path.abspath(path.path)))
    if os.path.commonpath([real, folder]) != folder:
        raise PermissionError("a symbolic link leads out of its folder")
    handle = os.open(real, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        facts = os.fstat(handle)
        if stat.S_ISDIR(facts.st_mode):
            raise IsADirectoryError(_NOT_THERE)
        if not stat.S_ISREG(facts.st_mode):
            raise PermissionError("it is no regular file")
        file = os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise
    modified = datetime.fromtimestamp(facts.st_mtime, timezone.utc)
    return file, facts.st_size, modified, (facts.st_mtime_ns, facts.st_ino)


def _open_object(path: ObjectStoragePath) -> tuple[IO[bytes], int, datetime | None, object]:
    info = path.fs.info(path.path)
    if info.get("type") == "directory":
        raise IsADirectoryError(_NOT_THERE)
    modified = time_of(info)
    size = int(info["size"])
    version = next((str(info[name]) for name in ("ETag", "etag", "md5Hash", "generation", "VersionId") if info.get(name)), None)
    file = path.fs.open(path.path, "rb", block_size=_BLOCK)
    return file, size, modified, (version, modified)
