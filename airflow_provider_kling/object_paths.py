"""The file, folder or object that a path or URI names, exactly as it is written.

Keys of objects and names of files may hold what has a meaning in a URL. May import `errors`, `arguments` and `redaction`.
"""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from airflow_provider_kling.arguments import place_text
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.patterns import pattern
from airflow_provider_kling.places import holds_password
from airflow_provider_kling.redaction import show_place, show_reason
from airflow_provider_kling.values import value

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_kling.arguments import Place

# What is lost where Airflow reads a location as a URL: tabs, line ends, and a mark behind which no parameters follow.
_LOST = pattern(r"[\t\r\n]|\?#|[?#]\Z")
_CHAIN = pattern(r"::(?![A-Za-z][A-Za-z0-9+.\-]*://)")  # in a name; fsspec takes it for one of its chains of file systems
_FORMS: tuple[Literal["NFC"], Literal["NFD"]] = ("NFC", "NFD")


@value
class Extra:
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


def storage_path(location: Place) -> ObjectStoragePath:
    """The file or folder that a path or URI names. Raises KlingInputError for one that no installed provider can reach, and
    for one that holds a password: what stands before an `@` is the id of a connection.

    A relative path starts at the working directory, and `~` is the home directory.
    """
    location = place_text(location)
    if not isinstance(location, str) or not location.strip():
        raise KlingInputError(f"A path is {location!r}; wanted is a path, or a URI like s3://bucket/folder.")
    check_no_password(location)
    scheme, separator, key = location.partition("://")
    if not separator:
        return _local_path(os.path.abspath(os.path.expanduser(location)))
    if scheme.lower() == "file" and key.startswith("/"):
        return _local_path(key)
    try:
        path = object_path(location)
        path.fs  # noqa: B018 - raises where no file system has this scheme
    except KlingInputError:
        raise
    except (ValueError, ImportError, NotImplementedError) as error:
        extra = EXTRAS.get(scheme)
        how = f"install airflow-provider-kling[{extra.name}]" if extra else "no provider that is installed knows this scheme"
        raise KlingInputError(f"{show_place(location)} cannot be reached: {how} ({show_reason(error, location)}).") from None
    return path


def object_path(uri: str) -> ObjectStoragePath:
    """The object of this URI. Raises KlingInputError for a name that cannot be reached exactly as it is written."""
    from airflow.sdk import ObjectStoragePath

    scheme, _, rest = uri.partition("://")
    scheme, (bucket, _, key) = scheme.lower(), rest.partition("/")
    if _CHAIN.search(key):
        raise _unreachable(uri, "'::' within a name")
    if f"/{key}".endswith("//"):
        raise _unreachable(uri, "two slashes at the end")
    if _LOST.search(key):
        path = ObjectStoragePath(f"{scheme}://{bucket}/") / key
        exact = path.path.lstrip("/") == f"{bucket.rpartition('@')[2]}/{key}"
    else:
        path = ObjectStoragePath(f"{scheme}://{rest}")
        exact = _ends_with(path, key)
    # Airflow 3.1 reads a path as a URL once more when a name is joined to it, and may lose empty names and dots.
    folder = key.rstrip("/")
    if not exact or not _ends_with(path / "x", f"{folder}/x" if folder else "x"):
        lost = "a tab, a line end, or a '?' or '#' at the end" if _LOST.search(key) else "an empty name or a '.' between slashes"
        raise _unreachable(uri, lost)
    return path


def _ends_with(path: ObjectStoragePath, key: str) -> bool:
    """Whether a path is that of this key, whatever the store has before it."""
    return f"/{path.path}".rstrip("/").endswith(f"/{key}".rstrip("/"))


def _local_path(location: str) -> ObjectStoragePath:
    from airflow.sdk import ObjectStoragePath

    if "::" not in location and not _LOST.search(location):
        return ObjectStoragePath(f"file://{location}")
    path = ObjectStoragePath("/") / location.lstrip("/")
    if (path / "x").path != f"{location.rstrip('/')}/x":
        raise _unreachable(location, "'::', a tab, a line end, or a '?' or '#' at the end")
    return path


def _unreachable(location: str, what: str) -> KlingInputError:
    return KlingInputError(f"{show_place(location)} cannot be reached as it is written: {what}; wanted is a name without.")


def stored_name(location: str) -> str:
    """The path on this machine with its accents as the disk has them, if only these differ; else as it is.

    Macs write `é` as two characters (NFD), most other programs as one (NFC), and a file that was copied keeps its own way.
    """
    if location.isascii() or "\0" in location:
        return location
    found = ""
    for part in location.split("/"):
        forms = (form for form in (part, *_other_forms(part)) if os.path.lexists(f"{found}{form}"))
        found += f"{next(forms, part)}/"
    return found[:-1]


def as_stored(path: ObjectStoragePath) -> ObjectStoragePath:
    """The file or object with its accents as the disk or the store has them, if only these differ; else the path as it is."""
    location = location_of(path)
    if is_local(path):
        return path if (stored := stored_name(location)) == location else _local_path(stored)
    folder, slash, name = location.rpartition("/")
    others = [*_other_forms(location), *(f"{folder}{slash}{other}" for other in _other_forms(name))]
    with contextlib.suppress(Exception):  # each store has errors of its own; the reading that follows meets them again
        if others and not path.fs.exists(path.path):
            return next((other for other in map(object_path, others) if path.fs.exists(other.path)), path)
    return path


def _other_forms(name: str) -> Iterator[str]:
    yield from (other for form in _FORMS if (other := unicodedata.normalize(form, name)) != name)


def folder_of(path: ObjectStoragePath) -> str:
    """The folder that holds a file, as text. Of an object, it is all before the last slash: a folder may be named ''."""
    return os.path.dirname(path.path) if is_local(path) else location_of(path).rpartition("/")[0] + "/"


def names_no_object(uri: str) -> bool:
    """Whether a URI ends with its bucket, in which an object could be."""
    scheme, slashes, rest = uri.partition("://")
    in_bucket = bool(slashes) and scheme.lower() not in ("file", "local", "memory", "http", "https")
    return in_bucket and not rest.partition("/")[2].strip("/")


def is_local(path: ObjectStoragePath) -> bool:
    """Whether it is a file or folder on this machine."""
    return path.protocol in ("file", "local", "")


def location_of(path: ObjectStoragePath) -> str:
    """The path as text, as `storage_path` reads it: an absolute path on this machine, a URI elsewhere."""
    return str(path.path) if is_local(path) else str(path)


def shown(path: ObjectStoragePath) -> str:
    """The path as an error or a log shows it, without credentials and signatures."""
    return show_place(location_of(path))


def check_no_password(location: object) -> None:
    """Raise KlingInputError for a URI with a user and a password.

    ObjectStoragePath takes what stands before the `@` as the id of a connection, and asks Airflow for it: both would end up
    in the logs of the API server.
    """
    if isinstance(location, str) and holds_password(location):
        wanted = "wanted is the id of an Airflow connection that has them, like s3://conn_id@bucket/folder"
        raise KlingInputError(f"{show_place(location)} holds credentials before its host or bucket; {wanted}.")
