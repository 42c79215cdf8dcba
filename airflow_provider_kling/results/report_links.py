"""Where the report's images and videos are, as links that work from a disk and from a bucket. Pure.

A link is relative to the page, so that the folder can be moved as a whole. It names nothing but a path: each of its parts
is quoted, so that no name of a file becomes a scheme, a host or a query.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from airflow_provider_kling.manifests import resolve_image, sources_of
from airflow_provider_kling.redaction import is_inline, is_link, show_place

Kind: TypeAlias = Literal["image", "video", "kling"]
LinkOf: TypeAlias = Callable[[Kind, Mapping[str, Any], int], str | None]
"""The link to an input image (`image`), to a saved video (`video`), or to a video at Kling (`kling`) of a line of the results.

It gets the line as it was given, and which of its images or videos is meant, counted from 0. None: there is no link.
"""

# What a page loads from outside its own folder must look like a picture or a video, whatever a manifest says.
_SUFFIXES = {"image": (".jpg", ".jpeg", ".png"), "video": (".mp4",)}


def relative_links(page: str, image_folder: str = "") -> LinkOf:
    """The links of a page in this folder or URI. Relative paths of images count from `image_folder`, the manifest's.

    A file has a link if a relative path leads to it: on the same disk, or in the same bucket. An image's URL is a link only
    if nothing in it may be a secret, such as the signature of a presigned URL: reports are passed on.
    """

    def link_of(kind: Kind, line: Mapping[str, Any], index: int) -> str | None:
        if kind == "image":
            return _image_link(sources_of(line)[index], page, image_folder)
        video = line["videos"][index]
        if kind == "kling":
            url = video.get("url")
            return url if is_link(url) else None
        return relative_link(video.get("path"), page, kind="video")

    return link_of


def _image_link(source: str, page: str, folder: str) -> str | None:
    if source[:5].lower() in ("http:", "https"):
        return source if is_link(source) and show_place(source) == source else None
    if is_inline(source):
        return None
    place = resolve_image(folder, source)
    is_elsewhere = place == source and not source.startswith("/") and "://" not in source  # `~/a.jpg`, or no folder is known
    return None if is_elsewhere else relative_link(place, page, kind="image")


def relative_link(path: Any, page: str, *, kind: Literal["image", "video"]) -> str | None:
    """The link from a page in this folder or URI to a file; None where no relative path leads there."""
    if not isinstance(path, str) or not path:
        return None
    if page and (ours := _parts(page)) and (theirs := _parts(path)):
        if ours[0] != theirs[0]:
            return None
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours[1], theirs[1], strict=False)))
        up, down = len(ours[1]) - common, theirs[1][common:]
    elif re.match(r"[A-Za-z][A-Za-z0-9+.\-]*:|[/\\]", path):
        return None
    else:
        up, down = 0, posixpath.normpath(path).split("/")
    if not down or down[0] == "" or not {".", ".."}.isdisjoint(down):
        return None
    if (up or kind == "image") and not down[-1].lower().endswith(_SUFFIXES[kind]):
        return None
    return "../" * up + "/".join(quote(part, safe="", errors="replace") for part in down)


def _parts(place: str) -> tuple[str, list[str]] | None:
    """Where a path or URI begins (`/`, or scheme and bucket), and the names on the way from there; None for a relative path."""
    scheme, slashes, rest = place.removeprefix("file://").partition("://")
    if slashes and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.\-]*", scheme):
        bucket, _, key = rest.partition("/")
        return f"{scheme.lower()}://{bucket.rpartition('@')[2]}", key.rstrip("/").split("/") if key.strip("/") else []
    path = place.removeprefix("file://")
    if not path.startswith("/") or path.startswith("//"):
        return None
    return "/", [part for part in posixpath.normpath(path).split("/") if part]
