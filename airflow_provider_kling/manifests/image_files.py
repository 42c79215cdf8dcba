"""The bytes of an image from where it is: a local file, an object store, or the text itself."""

from __future__ import annotations

import os
import re
import stat
from typing import Any, BinaryIO
from urllib.parse import unquote

from airflow_provider_kling.api import MAX_IMAGE_BYTES
from airflow_provider_kling.errors import KlingInputError, may_still_come
from airflow_provider_kling.manifests.images import WANTED, check_image, decode_inline, refuse_size
from airflow_provider_kling.object_paths import (
    EXTRAS,
    as_stored,
    check_no_password,
    is_local,
    names_no_object,
    object_path,
    stored_name,
)
from airflow_provider_kling.redaction import is_inline, scheme_of, show_place
from airflow_provider_kling.storage import is_folder

_FOLDER = f"{{}}: found a folder; wanted the URI of a {WANTED} file."


def read_image(source: str) -> bytes:
    """The bytes of a checked JPEG or PNG. `source` is anything but a URL; `sources.load_image` lists the errors."""
    shown = show_place(source)
    if is_inline(source):
        data = decode_inline(source, label=shown)
    elif (scheme := scheme_of(source)) and scheme != "file":
        data = _read_object(source, scheme, shown)
    else:
        data = _read_file(source, shown)
    check_image(data, label=shown)
    return data


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
