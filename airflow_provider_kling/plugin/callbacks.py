"""The receiver of callbacks, the one route of the plugin that is open without a login: `POST /kling/callbacks/<conn_id>`.

A request is answered with a status and a word, whatever it holds, and without a request to Kling.
"""

from __future__ import annotations

import anyio
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from airflow_provider_kling.plugin.receiver import Receiver

PATH = "/callbacks/{kling_conn_id}"
LARGEST_BODY = 64 * 1024  # bytes; a task with its links has some two thousand
PATIENCE = 10.0  # seconds in which a body must have come

receiver = Receiver()


async def callback(request: Request) -> PlainTextResponse:
    try:
        with anyio.fail_after(PATIENCE):
            body = await _read(request)
    except TimeoutError:
        return PlainTextResponse("too-slow", status_code=408)
    reply = await receiver.receive(request.path_params["kling_conn_id"], request.headers, body)
    return PlainTextResponse(reply.word, status_code=reply.status, headers={"Cache-Control": "no-store"})


async def _read(request: Request) -> bytes | None:
    """The body; None if it is larger than a task can be, of which no more is read."""
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > LARGEST_BODY:
            return None
    return bytes(read)
