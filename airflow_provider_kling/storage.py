"""Files in a folder or an object store: how to reach, read and write them.

A file is written whole or not at all. A local file is written under another name in the same folder and then renamed.
An object store gets a finished local file as one upload, so that a reader never sees half of an object either.
May import `errors`.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from airflow_provider_kling.errors import KlingDownloadError, KlingInputError, KlingStorageError

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

CHUNK = 1024 * 1024  # bytes
LONGEST_LINE = 128 * 1024 * 1024  # bytes


class Extra(NamedTuple):
    """An extra of this package, and the Airflow provider that it installs."""

    name: str
    provider: str


_S3 = Extra("s3", "apache-airflow-providers-amazon[s3fs]")
_GCS = Extra("gcs", "apache-airflow-providers-google")
_AZURE = Extra("azure", "apache-airflow-providers-microsoft-azure")
# The schemes whose file systems Airflow itself does not have, and the extra that installs each.
EXTRAS = {
    **dict.fromkeys(("s3", "s3a", "s3n"), _S3),
    **dict.fromkeys(("gs", "gcs"), _GCS),
    **dict.fromkeys(("abfs", "abfss", "adl", "az", "wasb"), _AZURE),
}


def storage_path(location: str) -> ObjectStoragePath:
    """The file or folder that a path or URI names. Raises KlingInputError for one that no installed provider can reach.

    A relative path starts at the working directory, and `~` is the home directory.
    """
    from airflow.sdk import ObjectStoragePath

    if not isinstance(location, str) or not location.strip():
        raise KlingInputError(f"A path is {location!r}; wanted is a path, or a URI like s3://bucket/folder.")
    scheme, separator, _ = location.partition("://")
    if not separator:
        return ObjectStoragePath(f"file://{os.path.abspath(os.path.expanduser(location))}")
    try:
        path = ObjectStoragePath(location)
        path.fs  # noqa: B018 - raises where no file system has this scheme
    except (ValueError, ImportError, NotImplementedError) as error:
        extra = EXTRAS.get(scheme)
        how = f"install airflow-provider-kling[{extra.name}]" if extra else "no provider that is installed knows this scheme"
        raise KlingInputError(f"{location} cannot be reached: {how} ({error}).") from error
    return path


def exists(path: ObjectStoragePath) -> bool:
    """Whether there is a file that is not empty. Files are written whole, so it is finished."""
    return bool(path.exists() and path.stat().st_size > 0)


@contextlib.contextmanager
def atomic_write(path: ObjectStoragePath) -> Iterator[IO[bytes]]:
    """A file to write into. It appears at `path` when the block ends without an error, and never before.

    Raises KlingStorageError where the file cannot be written.
    """
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
        raise KlingStorageError(f"{location_of(path)} could not be written: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


@contextlib.contextmanager
def writing_video(path: ObjectStoragePath) -> Iterator[IO[bytes]]:
    """Like `atomic_write`, for a video. Raises KlingDownloadError for an empty file, HTML or JSON, which is not kept."""
    with atomic_write(path) as file:
        yield file
        file.seek(0)
        head = file.read(64)
        file.seek(0, os.SEEK_END)
        if len(head) < 12 or head.lstrip()[:1] in (b"<", b"{"):
            raise KlingDownloadError(f"What came for {path.name} is no video: it begins with {head[:12]!r}.", retryable=True)


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
                        raise KlingInputError(f"{path} has a line of more than {LONGEST_LINE:,} bytes; wanted is a text of lines.")
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
        copy = storage_path(folder) / path.name
        try:
            path.fs.get_file(path.path, copy.path)
        except (FileNotFoundError, PermissionError) as error:
            raise _unreadable(path, error) from None
        yield copy


def is_local(path: ObjectStoragePath) -> bool:
    """Whether it is a file or folder on this machine."""
    return path.protocol in ("file", "local", "")


def location_of(path: ObjectStoragePath) -> str:
    """The path as text, as `storage_path` reads it: an absolute path on this machine, a URI elsewhere."""
    return str(path.path) if is_local(path) else str(path)


def _unreadable(path: ObjectStoragePath, error: OSError) -> KlingInputError:
    match error:
        case FileNotFoundError():
            return KlingInputError(f"{path} does not exist; wanted is a manifest (.csv, .jsonl or .json).")
        case IsADirectoryError():
            return KlingInputError(f"{path} is a folder; wanted is a manifest (.csv, .jsonl or .json).")
        case _:
            return KlingInputError(f"{path} may not be read by this process.")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
