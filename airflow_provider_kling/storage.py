"""Files in a folder or an object store: written whole or not at all, and not again when they are there.

A local file is written beside its place and renamed into it. An object store gets a finished local file as one upload,
so that nobody ever sees half of one there either.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from airflow_provider_kling.errors import KlingDownloadError, KlingInputError, KlingStorageError

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

CHUNK = 1024 * 1024  # bytes
LONGEST_LINE = 128 * 1024 * 1024  # bytes

# What brings the file systems that Airflow itself does not have.
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "abfs": "azure", "abfss": "azure", "adl": "azure", "az": "azure"}


def storage_path(location: str) -> ObjectStoragePath:
    """The place a path or URI names; KlingInputError for one that no installed provider can reach."""
    from airflow.sdk import ObjectStoragePath

    if not isinstance(location, str) or not location.strip():
        raise KlingInputError(f"A path is {location!r}; wanted is a path, or a URI like s3://bucket/folder.")
    scheme, separator, _ = location.partition("://")
    if not separator:
        return ObjectStoragePath(f"file://{os.path.abspath(os.path.expanduser(location))}")
    try:
        path = ObjectStoragePath(location)
        path.fs  # noqa: B018 - finds out whether the scheme has a file system
    except (ValueError, ImportError, NotImplementedError) as error:
        extra = EXTRAS.get(scheme)
        how = f"install airflow-provider-kling[{extra}]" if extra else "no provider that is installed knows this scheme"
        raise KlingInputError(f"{location} cannot be reached: {how} ({error}).") from error
    return path


def is_there(path: ObjectStoragePath) -> bool:
    """Whether a finished file stands there."""
    return bool(path.exists() and path.stat().st_size > 0)


@contextlib.contextmanager
def writing(path: ObjectStoragePath) -> Iterator[IO[bytes]]:
    """A file to write into, which appears at `path` when the block ends without an error, and never before."""
    local = Path(path.path) if is_local(path) else None
    name = ""
    try:
        if local:
            local.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=local.parent if local else None)
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if local:
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, local)
        else:
            path.fs.put_file(name, path.path)
    except OSError as error:
        raise KlingStorageError(f"{shown(path)} could not be written: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


@contextlib.contextmanager
def writing_video(path: ObjectStoragePath) -> Iterator[IO[bytes]]:
    """Like `writing`, for a video: an empty file or a page of text is KlingDownloadError, not a result."""
    with writing(path) as file:
        yield file
        file.seek(0)
        head = file.read(64)
        file.seek(0, os.SEEK_END)
        if len(head) < 12 or head.lstrip()[:1] in (b"<", b"{"):
            raise KlingDownloadError(f"What came for {path.name} is no video: it begins with {head[:12]!r}.", retryable=True)


@contextlib.asynccontextmanager
async def awriting_video(path: ObjectStoragePath) -> AsyncIterator[IO[bytes]]:
    """`writing_video`, with what blocks in a thread."""
    manager = writing_video(path)
    file = await asyncio.to_thread(manager.__enter__)
    try:
        yield file
    except BaseException as error:
        await asyncio.to_thread(manager.__exit__, type(error), error, error.__traceback__)
        raise
    await asyncio.to_thread(manager.__exit__, None, None, None)


def write_text(path: ObjectStoragePath, parts: Iterable[str]) -> None:
    """Write these parts of a text, UTF-8, as one file that appears when it is whole."""
    with writing(path) as file:
        for part in parts:
            file.write(part.encode())


def read_lines(path: ObjectStoragePath) -> Iterator[bytes]:
    """The lines of a file with their ends; KlingInputError where it cannot be read, or a line has no end."""
    held: list[bytes] = []
    size = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                for piece in io.BytesIO(chunk):
                    held.append(piece)
                    size += len(piece)
                    if size > LONGEST_LINE:
                        raise KlingInputError(f"{path} has a line of more than {LONGEST_LINE:,} bytes; wanted is a text of lines.")
                    if piece.endswith(b"\n"):
                        yield b"".join(held)
                        held, size = [], 0
        if held:
            yield b"".join(held)
    except FileNotFoundError:
        raise KlingInputError(f"{path} does not exist; wanted is a manifest (.csv, .jsonl or .json).") from None
    except IsADirectoryError:
        raise KlingInputError(f"{path} is a folder; wanted is a manifest (.csv, .jsonl or .json).") from None
    except PermissionError:
        raise KlingInputError(f"{path} may not be read by this process.") from None


@contextlib.contextmanager
def at_hand(path: ObjectStoragePath) -> Iterator[ObjectStoragePath]:
    """The file on this machine: itself, or a copy of an object for as long as the block lasts."""
    if is_local(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="airflow-kling-") as folder:
        copy = storage_path(folder) / path.name
        try:
            path.fs.get_file(path.path, copy.path)
        except FileNotFoundError:
            raise KlingInputError(f"{path} does not exist; wanted is a manifest (.csv, .jsonl or .json).") from None
        except PermissionError:
            raise KlingInputError(f"{path} may not be read by this process.") from None
        yield copy


def is_local(path: ObjectStoragePath) -> bool:
    """Whether it is a file of this machine."""
    return path.protocol in ("file", "local", "")


def shown(path: ObjectStoragePath) -> str:
    """The path as a person writes it: a plain one on this machine, a URI elsewhere."""
    return str(path.path) if is_local(path) else str(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
