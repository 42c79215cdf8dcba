"""Answers that hold a file, whole or in part: memory holds one piece of it, and what blocks runs in the server's threads."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import IO
from urllib.parse import quote

from fastapi import Request
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from airflow_provider_kling.plugin.files import OpenFile
from airflow_provider_kling.plugin.ranges import http_date, part_of

PIECE = 256 * 1024  # bytes

# A file shows nothing but itself, also where it is opened in a tab of its own.
FILE_POLICY = "default-src 'none'; media-src 'self'; img-src 'self'; style-src 'unsafe-inline'; sandbox"


def file_response(request: Request, opened: OpenFile, *, download: bool = False) -> Response:
    """The answer to a request for this file, which it closes."""
    part = part_of(request.headers, size=opened.size, etag=opened.etag, modified=opened.modified)
    headers = {
        "ETag": opened.etag,
        "Accept-Ranges": "bytes",
        "Content-Encoding": "identity",  # or Airflow's API server would compress it, and no range would fit
        "Cache-Control": "private, max-age=0, must-revalidate",
        "Content-Security-Policy": FILE_POLICY,
        "Content-Disposition": disposition("attachment" if download else "inline", opened.name),
    }
    if opened.modified:
        headers["Last-Modified"] = http_date(opened.modified)
    if part.status in (304, 416):
        if part.status == 416:
            headers["Content-Range"] = f"bytes */{opened.size}"
        return Response(status_code=part.status, headers=headers, background=BackgroundTask(opened.file.close))
    headers["Content-Length"] = str(part.length)
    if part.status == 206:
        headers["Content-Range"] = f"bytes {part.start}-{part.start + part.length - 1}/{opened.size}"
    if request.method == "HEAD":
        return _head(opened, part.status, headers)
    body = _pieces(opened.file, part.start, part.length)
    return StreamingResponse(body, status_code=part.status, media_type=opened.media_type, headers=headers)


def _head(opened: OpenFile, status: int, headers: Mapping[str, str]) -> Response:
    response = Response(status_code=status, media_type=opened.media_type, background=BackgroundTask(opened.file.close))
    response.headers.update(headers)
    return response


async def _pieces(file: IO[bytes], start: int, length: int) -> AsyncIterator[bytes]:
    """The bytes of a part. The file is closed also where the browser goes away."""
    try:
        await run_in_threadpool(file.seek, start)
        while length > 0 and (piece := await run_in_threadpool(file.read, min(PIECE, length))):
            length -= len(piece)
            yield piece
    finally:
        file.close()


def disposition(kind: str, name: str) -> str:
    """The header that names a file: ASCII for all, and the whole name as RFC 6266 writes it."""
    name = re.sub(r"[\x00-\x1f\x7f/\\]", "_", name.encode(errors="replace").decode())[-200:] or "file"
    plain = re.sub(r'[^\x20-\x7e]|["%;]', "_", name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
