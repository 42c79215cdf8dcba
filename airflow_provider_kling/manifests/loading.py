"""Manifests from where they are: local files and object stores. Of this folder, only `image_files` opens files, too."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from airflow_provider_kling.arguments import place_text
from airflow_provider_kling.errors import KlingInputError, KlingStorageError
from airflow_provider_kling.manifests.parsing import parse_rows
from airflow_provider_kling.manifests.row_checks import Warn
from airflow_provider_kling.manifests.rows import BadRow, Row, resolve_images
from airflow_provider_kling.object_paths import as_stored, folder_of, is_local, names_no_object, storage_path
from airflow_provider_kling.redaction import show_place
from airflow_provider_kling.storage import local_copy, read_lines

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_kling.arguments import Place


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
