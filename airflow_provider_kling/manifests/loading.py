"""Manifests and images from where they are: local files, object stores, and images within the manifest itself.

Only this module of the folder opens files and reads settings.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote

from airflow_provider_kling.api import MAX_IMAGE_BYTES
from airflow_provider_kling.arguments import place_text
from airflow_provider_kling.errors import KlingInputError, KlingStorageError, may_still_come
from airflow_provider_kling.manifests.images import WANTED, check_image, check_url, decode_inline, refuse_size
from airflow_provider_kling.manifests.invisible import strip_invisible
from airflow_provider_kling.manifests.parsing import parse_rows
from airflow_provider_kling.manifests.row_checks import Warn
from airflow_provider_kling.manifests.rows import BadRow, Row, resolve_images
from airflow_provider_kling.object_paths import (
    EXTRAS,
    as_stored,
    check_no_password,
    folder_of,
    is_local,
    names_no_object,
    object_path,
    storage_path,
    stored_name,
)
from airflow_provider_kling.redaction import is_inline, scheme_of, show_place
from airflow_provider_kling.storage import is_folder, local_copy, read_lines

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_kling.arguments import Place

_FOLDER = f"{{}}: found a folder; wanted the URI of a {WANTED} file."
_LOCAL_SCHEMES = frozenset({"file", "local", "memory"})  # another machine reads these differently, or not at all


class ManifestFile:
    """A manifest where it is: a context manager in whose block its rows can be read as often as they are needed.

    `location` is a path or URI; its suffix tells the format, unless `format` does (csv, jsonl, json). With `strict`, a scene
    that is unknown or discontinued makes a BadRow. The manifest is copied for the block, so that each reading gives the same
    rows, whatever happens to the file. With `async with`, what blocks at both ends runs in a thread.
    Entering raises KlingInputError for a manifest that does not exist, is no file, may not be read, or has an unknown scheme.
    """

    def __init__(self, location: Place, *, format: str | None = None, strict: bool = False) -> None:
        self.location: str = place_text(location)
        self.format = format
        self.strict = strict
        self._folder = ""
        self._copy: ObjectStoragePath | None = None
        self._block = contextlib.ExitStack()

    @property
    def name(self) -> str:
        """The location as logs and reports show it, without a signature or credentials."""
        return show_place(self.location)

    def rows(self, warn: Warn | None = None) -> Iterator[Row | BadRow]:
        """The rows from the beginning, as a stream, with relative image paths joined to the manifest's folder.

        `warn` is called with each warning. Raises KlingManifestError where the rows cannot be told from each other.
        """
        if self._copy is None:
            raise RuntimeError("The manifest is not open; read its rows in a `with` block.")
        lines = read_lines(self._copy)
        for row in parse_rows(lines, name=self.location, format=self.format, strict=self.strict, warn=warn):
            yield resolve_images(row, self._folder)

    def __enter__(self) -> ManifestFile:
        if isinstance(self.location, str) and names_no_object(self.location):
            raise KlingInputError(f"{self.name} is a bucket; wanted is a manifest in it (.csv, .jsonl or .json).")
        path = as_stored(storage_path(self.location))
        self._folder = folder_of(path)
        self._copy = self._block.enter_context(_private_copy(path))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._block.close()

    async def __aenter__(self) -> ManifestFile:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, traceback)


@contextlib.contextmanager
def _private_copy(path: ObjectStoragePath) -> Iterator[ObjectStoragePath]:
    """A copy that nobody else writes to: while a batch runs for hours, somebody may edit its manifest."""
    if not is_local(path):
        with local_copy(path) as copy:
            yield copy
        return
    if os.path.exists(path.path) and not os.path.isfile(path.path) and not os.path.isdir(path.path):
        raise KlingInputError(f"{show_place(path.path)} is a device, pipe or socket; wanted is a manifest (.csv, .jsonl or .json).")
    with tempfile.TemporaryDirectory(prefix="airflow-kling-") as folder:
        copy = storage_path(folder) / "manifest"
        try:
            with open(copy.path, "wb") as file:
                file.writelines(read_lines(path))
        except OSError as error:
            raise KlingStorageError(f"The manifest could not be copied to {folder}: {error.strerror or error}.") from error
        yield copy


# --- Images ----------------------------------------------------------------------------------------------------


def load_image(source: Place) -> str:
    """The image as it goes to the API: an http(s) URL as it is, anything else as raw base64 of a checked JPEG or PNG.

    `source` is an http(s) URL, a `data:` URI, raw base64, a local path, a `file://` URI, or the URI of any object store
    that Airflow's ObjectStoragePath reads (`s3://bucket/key`, `gs://…`, with a connection: `s3://conn_id@bucket/key`).
    Raises KlingInputError for what does not exist, or is not an image that Kling accepts; errors of the network pass through.
    """
    try:
        return _load_image(source)
    except KlingInputError as error:
        error.kind = "image"
        raise


def _load_image(source: Place) -> str:
    source = _stripped(source)
    if source.lower().startswith(("http:", "https:")):
        check_url(source)
        return source
    shown = show_place(source)
    if is_inline(source):
        data = decode_inline(source, label=shown)
    elif (scheme := scheme_of(source)) and scheme != "file":
        data = _read_object(source, scheme, shown)
    else:
        data = _read_file(source, shown)
    check_image(data, label=shown)
    return base64.b64encode(data).decode("ascii")


def is_portable(source: Place) -> bool:
    """Whether another machine reads the same there: a URL, an object in a store, or a file in one of `shared_folders`.

    Any other file is not portable, and base64 is not.
    """
    source = _stripped(source)
    scheme = scheme_of(source)
    if is_inline(source):
        return False
    if scheme is None or scheme == "file":
        path = os.path.normpath(re.sub(r"^file://(localhost(?=/))?", "", source, flags=re.IGNORECASE))
        return any(path.startswith(f"{folder.rstrip('/')}/") for folder in shared_folders())
    return scheme not in _LOCAL_SCHEMES


def shared_folders() -> list[str]:
    """The folders that all workers and triggerers have under the same path, from the setting `[kling] shared_folders`."""
    from airflow.providers.common.compat.sdk import conf

    folders = conf.get("kling", "shared_folders", fallback="") or ""
    return [os.path.normpath(folder) for folder in map(str.strip, folders.split(",")) if folder.startswith("/")]


def _stripped(source: object) -> str:
    source = place_text(source)
    if not isinstance(source, str):
        raise KlingInputError(f"An image is of type {type(source).__name__}; wanted a URL, a path, or base64 as text.")
    source = strip_invisible(source)
    if not source:
        raise KlingInputError("An image is empty; wanted a URL, a path, or base64.")
    return source


def _read_file(source: str, shown: str) -> bytes:
    path = source
    if source[:5].lower() == "file:":
        path = re.sub(r"^file:(//(localhost(?=/))?)?", "", source, flags=re.IGNORECASE)
        # Airflow's ObjectStoragePath takes the name as written; RFC 8089 writes a blank as %20. So first the one, then the other.
        path = path if os.path.lexists(path) or "\0" in path else unquote(path)
    else:
        path = os.path.expanduser(path)
    path = stored_name(path)
    try:
        _check_facts(os.stat(path), shown)
        # The file may have become a pipe since. Without O_NONBLOCK, opening that would wait for its writer.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            _check_facts(os.fstat(file.fileno()), shown)
            return file.read(MAX_IMAGE_BYTES + 1)
    except KlingInputError:
        raise
    except FileNotFoundError:
        raise may_still_come(f"{shown}: no such file on this machine; wanted the path of a {WANTED} file, or a URL.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is malformed"
        raise KlingInputError(f"{shown}: cannot be read ({reason}); wanted a readable {WANTED} file.") from None


def _check_facts(facts: os.stat_result, shown: str) -> None:
    if stat.S_ISDIR(facts.st_mode):
        raise KlingInputError(f"{shown}: found a directory; wanted a {WANTED} file.")
    if not stat.S_ISREG(facts.st_mode):
        raise KlingInputError(f"{shown}: found a device, pipe or socket; wanted a {WANTED} file.")
    if facts.st_size > MAX_IMAGE_BYTES:
        refuse_size(shown, facts.st_size)


def _read_object(uri: str, scheme: str, shown: str) -> bytes:
    check_no_password(uri)
    if names_no_object(uri):
        raise KlingInputError(f"{shown}: found a bucket; wanted the URI of a {WANTED} file in it.")
    try:
        path: Any = object_path(uri)
        _ = path.fs  # raises where no file system has this scheme
    except KlingInputError:
        raise
    except (ValueError, ImportError):
        raise KlingInputError(_unknown_scheme(scheme, shown)) from None
    if is_local(path) or getattr(path.fs, "local_file", False):
        return _read_file(path.path, shown)
    path = as_stored(path)
    try:
        if uri.endswith("/"):
            raise IsADirectoryError
        with path.open("rb") as file:
            return _read_limited(file, shown)
    except FileNotFoundError:
        if is_folder(path):
            raise KlingInputError(_FOLDER.format(shown)) from None
        raise may_still_come(f"{shown}: no such object in the store; wanted the URI of a {WANTED} file.") from None
    except IsADirectoryError:
        raise KlingInputError(_FOLDER.format(shown)) from None
    except PermissionError:
        raise KlingInputError(f"{shown}: the store does not let this connection read it; wanted a readable object.") from None


def _read_limited(file: BinaryIO, shown: str) -> bytes:
    size = getattr(file, "size", None)
    if isinstance(size, int) and size > MAX_IMAGE_BYTES:
        refuse_size(shown, size)
    return file.read(MAX_IMAGE_BYTES + 1)


def _unknown_scheme(scheme: str, shown: str) -> str:
    if extra := EXTRAS.get(scheme):
        return f"{shown}: {scheme}:// needs {extra.provider}, which is not installed; install airflow-provider-kling[{extra.name}]."
    return (
        f"{shown}: no installed Airflow provider reads {scheme}://; wanted http(s)://, a path, "
        "s3:// (extra s3), gs:// (extra gcs), abfs:// (extra azure), or install the provider that brings it."
    )
