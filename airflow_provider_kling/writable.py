"""Whether files can be written to a place: asked before anything is paid. May import `errors`, `redaction` and `storage`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_kling.errors import KlingStorageError
from airflow_provider_kling.object_paths import EXTRAS, is_local, shown, storage_path

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath


def check_writable(location: str, name: str) -> None:
    """Raise KlingStorageError, with the argument's name, if files cannot be written into this folder or URI.

    It writes nothing. A folder that does not exist is created later. Of an object store it asks for the bucket alone: whether
    an object may be written there, only writing one tells.
    """
    path = storage_path(location)
    if why := _why_not_local(Path(path.path)) if is_local(path) else _why_not_stored(path):
        raise KlingStorageError(f"{name}: nothing can be written to {shown(path)}: {why}.")


def _why_not_local(folder: Path) -> str:
    try:
        nearest = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
        if not nearest.is_dir():
            what = "this" if nearest == folder else nearest.name
            return f"{what} is a file, or a link that leads nowhere; wanted is a folder"
    except OSError as error:
        return error.strerror or str(error)
    effective = os.access in os.supports_effective_ids
    if not os.access(nearest, os.W_OK | os.X_OK, effective_ids=effective):
        what = "it" if nearest == folder else f"its parent {nearest}"
        return f"this process may not write into {what}"
    return ""


def _why_not_stored(path: ObjectStoragePath) -> str:
    bucket = path.path.lstrip("/").partition("/")[0]
    if path.protocol not in EXTRAS or not bucket:
        return ""
    try:
        path.fs.info(bucket)
    except FileNotFoundError:
        return f"there is no bucket {bucket!r}"
    except Exception:  # noqa: BLE001 - each store has errors of its own; that it cannot be asked now says nothing about writing
        return ""
    return ""
