"""Files in a folder or an object store: how to reach, read and write them.

A file is written whole or not at all. A local file is written under another name in the same folder and then renamed.
An object store gets a finished local file as one upload, so that a reader never sees half of an object either.
`object_paths` says how to reach it. May import `errors`, `redaction` and `object_paths`.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import io
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_kling.errors import KlingInputError, KlingStorageError, may_still_come
from airflow_provider_kling.object_paths import is_local, location_of, shown, storage_path
from airflow_provider_kling.redaction import show_reason

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

CHUNK = 1024 * 1024  # bytes
LONGEST_LINE = 128 * 1024 * 1024  # bytes
PART_AGE = 3600.0  # seconds without a write after which an unfinished file counts as left behind

_MOST_FOLDERS = 1000  # folders of which the time of the last tidying is remembered
_PART = re.compile(r"\..+\.\d+-[0-9a-f]{16}\.part", re.DOTALL)
_parts_removed: dict[Path, float] = {}  # folder → when


def exists(path: ObjectStoragePath) -> bool:
    """Whether there is a file that is not empty. Files are written whole, so it is finished."""
    return bool(path.is_file() and path.stat().st_size > 0)


def time_of(info: Mapping[str, Any]) -> datetime | None:
    """When a file was changed, from what its file system tells of it."""
    for name in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = info.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, timezone.utc)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value.replace("Z", "+00:00"))
            except ValueError:
                continue
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    return None


@contextlib.contextmanager
def atomic_write(path: ObjectStoragePath) -> Iterator[IO[bytes]]:
    """A file to write into. It appears at `path` when the block ends without an error, and never before.

    Raises KlingStorageError where the file cannot be written.
    """
    with unfinished(path) as (file, part):
        yield file
        finish_part(file)
        publish(part, path)


@contextlib.contextmanager
def unfinished(path: ObjectStoragePath) -> Iterator[tuple[IO[bytes], Path]]:
    """A file to write into and its name on this machine, from which `publish` makes the file at `path`. It is removed at the end.

    Raises KlingStorageError for an OSError in the block.
    """
    part: Path | None = None
    try:
        folder = Path(tempfile.gettempdir())
        if is_local(path):
            folder = Path(path.path).parent
            folder.mkdir(parents=True, exist_ok=True)
        remove_old_parts(folder)
        part = folder / f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}.part"
        # The kernel applies the umask: to read it, a process would have to change it for all its threads.
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666 if is_local(path) else 0o600)
        with os.fdopen(handle, "w+b") as file:
            yield file, part
    except OSError as error:
        raise KlingStorageError(f"{shown(path)} could not be written: {show_reason(error, location_of(path))}.") from None
    finally:
        if part:
            with contextlib.suppress(OSError):
                os.unlink(part)


def finish_part(file: IO[bytes]) -> None:
    """Write all of a file to the disk, before it gets its name."""
    file.flush()
    _fsync(file.fileno())


def publish(part: Path, path: ObjectStoragePath) -> None:
    """Give a finished file its name, in the place of a file that has it."""
    if is_local(path):
        os.replace(part, path.path)
    else:
        path.fs.put_file(str(part), path.path)


def publish_new(part: Path, path: ObjectStoragePath) -> None:
    """Give a finished file its name if no file has it. Raises FileExistsError otherwise; nothing is ever overwritten."""
    if not is_local(path):
        path.fs.put_file(str(part), path.path, **_only_new(path.fs))
        return
    target = Path(path.path)
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with open(target, "xb"):  # what is left of it after a crash is an empty file, which nobody takes for a video
            pass
        os.replace(part, target)


def can_publish_new(path: ObjectStoragePath) -> bool:
    """Whether a file can be written there on the condition that no file has its name."""
    return is_local(path) or bool(_only_new(path.fs))


def _only_new(store: Any) -> dict[str, Any]:
    """The arguments with which the `put_file` of a store writes new objects alone; none where it cannot.

    Those of S3, Google and Azure let the server decide. fsspec's own asks first and writes then, so two writers could meet.
    """
    from fsspec.spec import AbstractFileSystem

    for method in (getattr(type(store), name, None) for name in ("_put_file", "put_file")):
        if method is not None and method is not AbstractFileSystem.put_file:
            known = inspect.signature(method).parameters
            if "mode" in known:
                return {"mode": "create"}
            if "overwrite" in known:
                return {"overwrite": False}
    return {}


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


def write_text(path: ObjectStoragePath, parts: Iterable[str]) -> None:
    """Write these parts of a text as one file in UTF-8, which appears when it is whole."""
    with atomic_write(path) as file:
        for part in parts:
            file.write(part.encode())


def remove(path: ObjectStoragePath) -> None:
    """Remove a file that exists. An object alone: `unlink` of an object store may look for a folder of that name first."""
    path.unlink() if is_local(path) else path.fs.rm_file(path.path)


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
