"""A reply on its way to the client."""

from __future__ import annotations

from aiohttp import web

from airflow_provider_kling.emulator.model import Reply


async def send(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Send a reply, or as much of it as its `ending` permits."""
    if reply.ending == "whole":
        return web.Response(status=reply.status, body=reply.body, content_type=reply.content_type, headers=reply.headers)
    response = web.StreamResponse(status=reply.status or 200, headers=reply.headers)
    if reply.ending == "cut":
        response.content_type = reply.content_type
        response.content_length = len(reply.body)
        await response.prepare(request)
        await response.write(reply.body[: len(reply.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
