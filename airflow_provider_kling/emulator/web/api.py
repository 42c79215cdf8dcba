"""The way of a request through the API: journal, credentials, faults, answer."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable

from aiohttp import web

from airflow_provider_kling.api import Refusal
from airflow_provider_kling.emulator.core import Emulator
from airflow_provider_kling.emulator.model import Entry, Fault, Reply, refused, skewed_date
from airflow_provider_kling.emulator.web.endpoints import Endpoint, RequestContext
from airflow_provider_kling.emulator.web.sending import send

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """Serves requests to endpoints. It calls `log` with the entry of each request that was answered."""

    def __init__(self, core: Emulator, *, log: Callable[[Entry], None] | None = None) -> None:
        self._core = core
        self._log = log

    def handler(self, endpoint: Endpoint) -> Handler:
        """The endpoint as aiohttp takes it."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, endpoint)

        return handle

    async def _serve(self, request: web.Request, endpoint: Endpoint) -> web.StreamResponse:
        context = await self._admit(request, endpoint)
        fault = self._core.faults.take(kind=endpoint.kind, method=request.method, subject=endpoint.subject(context))
        reply = await (self._reply(context, endpoint) if fault is None else self._fail(fault, context, endpoint))
        self._core.journal.close(context.entry, status=reply.status, code=reply.code)
        if self._log:
            self._log(context.entry)
        if self._core.settings.skew:
            reply = reply.with_header("Date", skewed_date(self._core.settings, now=time.time()))
        return await send(request, reply)

    async def _admit(self, request: web.Request, endpoint: Endpoint) -> RequestContext:
        """Write the request into the journal, read it, and check its credential."""
        authorization = request.headers.get("Authorization")
        path = request.rel_url.raw_path
        entry = self._core.journal.open(time=self._core.now(), kind=endpoint.kind, method=request.method, path=path)
        entry.query, entry.user_agent = request.query_string, request.headers.get("User-Agent", "")
        entry.authorization = authorization is not None
        context = RequestContext(request=request, entry=entry, request_id=str(uuid.uuid4()))
        await endpoint.read(context)
        if endpoint.protected:
            try:
                entry.credential = self._core.guard.check(authorization, self._core.settings, now=time.time())
            except Refusal as refusal:
                context.denied = refusal
        return context

    async def _reply(self, context: RequestContext, endpoint: Endpoint) -> Reply:
        try:
            if context.denied:
                raise context.denied
            return await endpoint.answer(context)
        except Refusal as refusal:
            return refused(refusal.code.number, refusal.message, request_id=context.request_id)

    async def _fail(self, fault: Fault, context: RequestContext, endpoint: Endpoint) -> Reply:
        context.entry.fault = str(fault.what)
        reply = await self._reply(context, endpoint) if fault.works_first else None
        if fault.what == "slow":
            await asyncio.sleep(fault.seconds)
            reply = reply or await self._reply(context, endpoint)
        return fault.distort(reply, request_id=context.request_id)
