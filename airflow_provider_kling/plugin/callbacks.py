"""The receiver of callbacks, the one route of the plugin that is open without a login: `POST /kling/callbacks/<conn_id>`.

A request is answered with a status and a word, whatever it holds, and without a request to Kling.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from airflow_provider_kling.plugin.receiver import Receiver

LARGEST_BODY = 64 * 1024  # bytes; a task with its links has some two thousand
PATIENCE = 10.0  # seconds in which a body must have come

router = APIRouter()
receiver = Receiver()


@router.post("/callbacks/{kling_conn_id}")
async def callback(request: Request, kling_conn_id: str) -> PlainTextResponse:
    try:
        body = await asyncio.wait_for(_read(request), PATIENCE)
    except asyncio.TimeoutError:
        return PlainTextResponse("too-slow", status_code=408)
    reply = await receiver.receive(kling_conn_id, request.headers, body)
    return PlainTextResponse(reply.word, status_code=reply.status, headers={"Cache-Control": "no-store"})


async def _read(request: Request) -> bytes | None:
    """The body; None if it is larger than a task can be, of which no more is read."""
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > LARGEST_BODY:
            return None
    return bytes(read)
