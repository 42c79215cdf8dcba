"""Files in a folder or an object store: how to reach, read and write them.

A file is written whole or not at all. A local file is written under another name in the same folder and then renamed.
An object store gets a finished local file as one upload, so that a reader never sees half of an object either.
`object_paths` says how to reach it. May import `errors`, `redaction`, `mp4` and `object_paths`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import re
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from airflow_provider_kling.errors import KlingDownloadError, KlingInputError, KlingStorageError, may_still_come
from airflow_provider_kling.mp4 import why_not_mp4
from airflow_provider_kling.object_paths import is_local, location_of, shown, storage_path
from airflow_provider_kling.redaction import show_reason

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

CHUNK = 1024 * 1024  # bytes
LONGEST_LINE = 128 * 1024 * 1024  # bytes
PART_AGE = 3600.0  # seconds without a write after which an unfinished file counts as left behind

_PROBE = 64 * 1024  # bytes that a look at an object's boxes loads at once
_MOST_FOLDERS = 1000  # folders of which the time of the last tidying is remembered
_PART = re.compile(r"\..+\.\d+-[0-9a-f]{16}\.part", re.DOTALL)
_parts_removed: dict[Path, float] = {}  # folder → when


def exists(path: ObjectStoragePath) -> bool:
    """Whether there is a file that is not empty. Files are written whole, so it is finished."""
    return bool(path.is_file() and path.stat().st_size > 0)


@contextlib.contextmanager
def atomic_write(path: ObjectStoragePath) -> Iterator[IO[bytes]]:
    """A file to write into. It appears at `path` when the block ends without an error, and never before.

    Raises KlingStorageError where the file cannot be written.
    """
    local = Path(path.path) if is_local(path) else None
    part: Path | None = None
    try:
        if local:
            local.parent.mkdir(parents=True, exist_ok=True)
        folder = local.parent if local else Path(tempfile.gettempdir())
        remove_old_parts(folder)
        part = folder / f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}.part"
        # The kernel applies the umask: to read it, a process would have to change it for all its threads.
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666 if local else 0o600)
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            _fsync(file.fileno())
        if local:
            os.replace(part, local)
        else:
            path.fs.put_file(str(part), path.path)
    except OSError as error:
        raise KlingStorageError(f"{shown(path)} could not be written: {show_reason(error, location_of(path))}.") from None
    finally:
        if part:
            with contextlib.suppress(OSError):
                os.unlink(part)


def remove_old_parts(folder: Path) -> None:
    """Remove what killed processes left of their unfinished files, once in an hour for each folder.

    A part that nobody has written to for an hour belongs to no living writer: a download without a byte ends long before.
    """
    now = time.time()
    if now - _parts_removed.get(folder, 0.0) < PART_AGE:
        return
    if len(_parts_removed) >= _MOST_FOLDERS:
        _parts_removed.clear()
    _parts_removed[folder] = now
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _PART.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    if now - entry.stat(follow_symlinks=False).st_mtime > PART_AGE:
                        os.unlink(entry.path)


def is_saved_video(path: ObjectStoragePath) -> bool:
    """Whether a whole MP4 lies there. A folder of that name, or half a file of another program, is no saved video."""
    if is_local(path):
        remove_old_parts(Path(path.path).parent)
    try:
        if not path.is_file():
            return False
        with path.fs.open(path.path, "rb", block_size=_PROBE) as file:
            return why_not_mp4(file) is None
    except FileNotFoundError:
        return False
    except OSError as error:
        raise KlingStorageError(f"{shown(path)} could not be read: {show_reason(error, location_of(path))}.") from None


@contextlib.contextmanager
def writing_video(path: ObjectStoragePath) -> Iterator[IO[bytes]]:
    """Like `atomic_write`, for a video. Raises KlingDownloadError unless the bytes are a whole MP4; nothing else is kept."""
    with atomic_write(path) as file:
        yield file
        if why := why_not_mp4(file):
            raise KlingDownloadError(f"What came for {path.name} is no video: it {why}.", retryable=True)
        file.seek(0, os.SEEK_END)


@contextlib.asynccontextmanager
async def awriting_video(path: ObjectStoragePath) -> AsyncIterator[IO[bytes]]:
    """`writing_video` for asyncio: what blocks runs in a thread."""
    manager = writing_video(path)
    file = await asyncio.to_thread(manager.__enter__)
    try:
        yield file
    except BaseException as error:
        await asyncio.to_thread(manager.__exit__, type(error), error, error.__traceback__)
        raise
    await asyncio.to_thread(manager.__exit__, None, None, None)


def write_text(path: ObjectStoragePath, parts: Iterable[str]) -> None:
    """Write these parts of a text as one file in UTF-8, which appears when it is whole."""
    with atomic_write(path) as file:
        for part in parts:
            file.write(part.encode())


def read_lines(path: ObjectStoragePath) -> Iterator[bytes]:
    """The lines of a file, line ends included. Raises KlingInputError where it cannot be read or a line is too long."""
    line: list[bytes] = []
    size = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                for piece in io.BytesIO(chunk):
                    line.append(piece)
                    size += len(piece)
                    if size > LONGEST_LINE:
                        raise KlingInputError(
                            f"{shown(path)} has a line of more than {LONGEST_LINE:,} bytes; wanted is a text of lines."
                        )
                    if piece.endswith(b"\n"):
                        yield b"".join(line)
                        line, size = [], 0
        if line:
            yield b"".join(line)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise _unreadable(path, error) from None


@contextlib.contextmanager
def local_copy(path: ObjectStoragePath) -> Iterator[ObjectStoragePath]:
    """The file on this machine: a local file itself, or a copy of an object, which is removed when the block ends.

    Raises KlingInputError for an object that does not exist or may not be read.
    """
    if is_local(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="airflow-kling-") as folder:
        copy = storage_path(folder) / (path.name or "copy")
        try:
            path.fs.get_file(path.path, copy.path)
            if os.path.isdir(copy.path):
                raise IsADirectoryError
        except FileNotFoundError as error:
            raise _unreadable(path, IsADirectoryError() if is_folder(path) else error) from None
        except (IsADirectoryError, PermissionError) as error:
            raise _unreadable(path, error) from None
        yield copy


def is_folder(path: ObjectStoragePath) -> bool:
    """Whether a store has objects below this name. False where it cannot be asked."""
    try:
        return bool(path.fs.isdir(path.path))
    except Exception:  # noqa: BLE001 - each store has errors of its own
        return False


def _unreadable(path: ObjectStoragePath, error: OSError) -> KlingInputError:
    match error:
        case FileNotFoundError():
            return may_still_come(f"{shown(path)} does not exist; wanted is a manifest (.csv, .jsonl or .json).")
        case IsADirectoryError():
            return KlingInputError(f"{shown(path)} is a folder; wanted is a manifest (.csv, .jsonl or .json).")
        case _:
            return KlingInputError(f"{shown(path)} may not be read by this process.")


def _fsync(handle: int) -> None:
    """Write a file to the disk, where its file system can: some mounts of object stores cannot."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM):
            raise
