"""The source of an image: what may be given as one, whether another machine reads the same there, and the image itself.

A URL is returned as it is: cheap for the worker that only hands it over to the triggerer. All else is read by `image_files`.
"""

from __future__ import annotations

import base64
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_kling.api import is_url
from airflow_provider_kling.arguments import place_text
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.manifests.invisible import invisible_in, strip_invisible
from airflow_provider_kling.redaction import is_inline, scheme_of, show_place

if TYPE_CHECKING:
    from airflow_provider_kling.arguments import Place

_LOCAL_SCHEMES = frozenset({"file", "local", "memory"})  # another machine reads these differently, or not at all


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
    from airflow_provider_kling.manifests.image_files import read_image  # most workers see URLs alone

    return base64.b64encode(read_image(source)).decode("ascii")


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


def check_url(url: str) -> None:
    """Raise KlingInputError unless this is an http(s) URL that Kling can load."""
    problem = ""
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        problem = "it has a blank inside, which is to be written %20"
    elif sign := invisible_in(url):
        problem = f"it has an invisible character inside, {sign}"
    elif not is_url(url):
        problem = "two slashes are to follow its scheme"
    else:
        try:
            parts = urlsplit(url)
            if not parts.hostname or parts.port == 0:
                problem = "it names no host" if not parts.hostname else "its port is 0"
        except ValueError:
            problem = "its host or port is malformed"
    if problem:
        raise KlingInputError(
            f"{show_place(url)} is no URL that Kling can load: {problem}; wanted is one like https://host/image.jpg."
        )


def _stripped(source: object) -> str:
    source = place_text(source)
    if not isinstance(source, str):
        raise KlingInputError(f"An image is of type {type(source).__name__}; wanted a URL, a path, or base64 as text.")
    source = strip_invisible(source)
    if not source:
        raise KlingInputError("An image is empty; wanted a URL, a path, or base64.")
    return source
