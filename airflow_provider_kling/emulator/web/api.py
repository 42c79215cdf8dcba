"""The API as Kling serves it: each request is written down, checked, and answered, or hit by a fault."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from airflow_provider_kling.api import CreateBody, Refusal, read_create, read_page
from airflow_provider_kling.emulator.core import Emulator
from airflow_provider_kling.emulator.model import (
    Entry,
    Fault,
    Record,
    Reply,
    created,
    no_such_path,
    refused,
    skewed_date,
    succeeded,
)

LARGE = 64 * 1024  # bytes; reading a larger body belongs into a thread
PROTECTED = ("create", "get", "list", "costs")


@dataclass(kw_only=True)
class Visit:
    """One request on its way through the emulator. `asked` is the id or the file's name in its path."""

    request: web.Request
    kind: str
    entry: Entry
    request_id: str
    asked: str
    body: CreateBody | Refusal | None = field(default=None, repr=False)
    denied: Refusal | None = None

    @property
    def base(self) -> str:
        """The URL that the request was sent to."""
        return f"{self.request.scheme}://{self.request.host}"


Work = Callable[[Visit], Awaitable[Reply]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """Handlers of the API's routes and of the videos."""

    def __init__(self, emulator: Emulator, *, log: Callable[[Entry], None] | None = None) -> None:
        self._core = emulator
        self._log = log

    def handler(self, kind: str) -> Handler:
        """What serves requests of this kind: create, get, list, costs, video, wrong_method or nowhere."""
        work: Work = getattr(self, f"_{kind}")

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, kind, work)

        return handle

    # --- The way of a request -------------------------------------------------------------------------------

    async def _serve(self, request: web.Request, kind: str, work: Work) -> web.StreamResponse:
        visit = await self._admit(request, kind)
        fault = self._core.faults.take(kind=kind, method=request.method, subject=self._subject(visit))
        reply = await (self._reply(visit, work) if fault is None else self._fail(fault, visit, work))
        self._core.journal.close(visit.entry, status=reply.status, code=reply.code)
        if self._log:
            self._log(visit.entry)
        if self._core.settings.skew:
            reply = reply.with_header("Date", skewed_date(self._core.settings, now=time.time()))
        return await send(request, reply)

    async def _admit(self, request: web.Request, kind: str) -> Visit:
        """Write the request down, and read who asks, and what about."""
        authorization = request.headers.get("Authorization")
        entry = self._core.journal.open(time=self._core.now(), kind=kind, method=request.method, path=request.rel_url.raw_path)
        entry.query, entry.user_agent = request.query_string, request.headers.get("User-Agent", "")
        entry.authorization = authorization is not None
        asked = request.match_info.get("id", "")
        visit = Visit(request=request, kind=kind, entry=entry, request_id=str(uuid.uuid4()), asked=asked)
        if kind == "get":
            entry.id = asked
        if kind == "create":
            visit.body = await _body(request)
        if isinstance(visit.body, CreateBody):
            entry.external_task_id, entry.effect_scene = visit.body.external_task_id, visit.body.effect_scene
        if kind in PROTECTED:
            try:
                entry.credential = self._core.guard.check(authorization, self._core.settings, now=time.time())
            except Refusal as refusal:
                visit.denied = refusal
        return visit

    def _subject(self, visit: Visit) -> tuple[str, ...]:
        """The ids and the scene that a fault may be meant for."""
        if isinstance(visit.body, CreateBody):
            return visit.body.effect_scene, visit.body.external_task_id or ""
        if visit.kind == "video":
            found = self._core.linked(visit.asked)
            return _names(found[0]) if found else ()
        if visit.kind == "get":
            record = self._core.account.find(visit.asked)
            return (visit.asked, *_names(record)) if record else (visit.asked,)
        return ()

    async def _reply(self, visit: Visit, work: Work) -> Reply:
        try:
            if visit.denied:
                raise visit.denied
            return await work(visit)
        except Refusal as refusal:
            return refused(refusal.code.number, refusal.message, request_id=visit.request_id)

    async def _fail(self, fault: Fault, visit: Visit, work: Work) -> Reply:
        visit.entry.fault = str(fault.what)
        reply = await self._reply(visit, work) if fault.works_first else None
        if fault.what == "slow":
            await asyncio.sleep(fault.seconds)
            reply = reply or await self._reply(visit, work)
        return fault.distort(reply, request_id=visit.request_id)

    # --- What the requests are there for --------------------------------------------------------------------

    async def _create(self, visit: Visit) -> Reply:
        if not isinstance(visit.body, CreateBody):
            raise visit.body or Refusal(1200)
        order = await self._core.accept(visit.body, base=visit.base)
        now = self._core.now()
        record = self._core.account.create(order, now=now)
        visit.entry.kling_task_id = record.kling_task_id
        if order.callback_url:
            self._core.callbacks.wake()
        return succeeded(created(self._core.show(record, now=now, base=visit.base)), request_id=visit.request_id)

    async def _get(self, visit: Visit) -> Reply:
        record = self._core.account.get(visit.asked)
        visit.entry.kling_task_id = record.kling_task_id
        data = self._core.show(record, now=self._core.now(), base=visit.base)
        return succeeded({**data, "watermark_info": {"enabled": True}}, request_id=visit.request_id)

    async def _list(self, visit: Visit) -> Reply:
        number, size = read_page(visit.request.query)
        now = self._core.now()
        tasks = [self._core.show(record, now=now, base=visit.base) for record in self._core.account.page(number, size)]
        return succeeded(tasks, request_id=visit.request_id)

    async def _costs(self, visit: Visit) -> Reply:
        query = visit.request.query
        for name in ("start_time", "end_time"):
            if not query.get(name, "").isdecimal():
                raise Refusal(1201, f"{name} is invalid")
        data = self._core.account.costs(now=self._core.now(), name=query.get("resource_pack_name"))
        return succeeded(data, request_id=visit.request_id)

    async def _video(self, visit: Visit) -> Reply:
        found = self._core.linked(visit.asked)
        if found is None:
            return Reply(status=404, body=b"No such file", content_type="text/plain")
        record, link = found
        visit.entry.kling_task_id = record.kling_task_id
        if link.epoch != record.epoch:
            return Reply(status=403, body=b"The link has expired", content_type="text/plain")
        order = record.order
        data = await self._core.videos.get(scene=order.effect_scene, pictures=order.pictures, watermark=link.watermark)
        return Reply(status=200, body=data, content_type="video/mp4")

    async def _wrong_method(self, visit: Visit) -> Reply:
        raise Refusal(1202)

    async def _nowhere(self, visit: Visit) -> Reply:
        return no_such_path(visit.request.path, now=self._core.now())


async def send(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Send the answer, or as much of it as it is to have."""
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


async def _body(request: web.Request) -> CreateBody | Refusal:
    try:
        data = await request.read()
        return await asyncio.to_thread(read_create, data) if len(data) > LARGE else read_create(data)
    except Refusal as refusal:
        return refusal


def _names(record: Record) -> tuple[str, ...]:
    return record.kling_task_id, record.order.external_task_id or "", record.order.effect_scene
