"""The pages: HTML shells, styles and scripts of this package, which bring no data. Scripts fetch that."""

from __future__ import annotations

import functools
import hashlib
import importlib.resources

from fastapi import APIRouter, HTTPException, Request, Response

SHELLS = {"runs": "runs.html", "videos": "videos.html"}
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".woff2": "font/woff2"}

# A page may load its own files only, pictures and videos also from the links that results name.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: http: data:; media-src 'self' https: http:; "
    "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)

router = APIRouter()


@functools.cache
def files() -> dict[str, tuple[bytes, str]]:
    """Content and type of each file that may be asked for by its name, and of the shells."""
    found = {}
    for entry in importlib.resources.files("airflow_provider_kling.plugin").joinpath("static").iterdir():
        suffix = entry.name[entry.name.rfind(".") :]
        if suffix in _TYPES or entry.name in SHELLS.values():
            found[entry.name] = (entry.read_bytes(), _TYPES.get(suffix, "text/html"))
    return found


@router.get("/static/{name}")
def static(name: str, request: Request) -> Response:
    if name not in files() or name in SHELLS.values():
        raise HTTPException(404, "There is no such file.")
    return _file(name, request)


@router.get("/runs")
def runs_page(request: Request) -> Response:
    return _page("runs", request)


@router.get("/videos")
def videos_page(request: Request) -> Response:
    return _page("videos", request)


def _page(name: str, request: Request) -> Response:
    response = _file(SHELLS[name], request)
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


def _file(name: str, request: Request) -> Response:
    content, media_type = files()[name]
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
