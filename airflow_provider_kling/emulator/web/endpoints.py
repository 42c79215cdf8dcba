"""The kinds of requests that the API serves: which tasks each is about, and how it is answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiohttp import web

from airflow_provider_kling.api import CreateBody, PaidWith, Product, Refusal, read_charge_query, read_create, read_page
from airflow_provider_kling.emulator.core import Emulator
from airflow_provider_kling.emulator.model import Entry, Record, Reply, create_data, no_such_path, succeeded

LARGE = 64 * 1024  # bytes; a larger body is parsed in a thread


@dataclass(kw_only=True)
class RequestContext:
    """One request while it is served, with its entry in the journal."""

    request: web.Request
    entry: Entry
    request_id: str
    body: CreateBody | Refusal | None = field(default=None, repr=False)  # of a create
    denied: Refusal | None = None  # why the credential was not accepted

    @property
    def last_part(self) -> str:
        """The last part of the path: an id, or a file name."""
        return self.request.match_info.get("id", "")

    @property
    def base(self) -> str:
        """The URL that the request was sent to, without a path."""
        return f"{self.request.scheme}://{self.request.host}"


class Endpoint:
    """One kind of request. `protected` is whether it needs a credential."""

    kind = ""
    protected = False

    def __init__(self, core: Emulator) -> None:
        self._core = core

    async def read(self, context: RequestContext) -> None:
        """Read from the request what the journal and the faults need."""

    def subject(self, context: RequestContext) -> tuple[str, ...]:
        """The ids and the scene that the request is about, for a fault's `match`."""
        return ()

    async def answer(self, context: RequestContext) -> Reply:
        """Do the request's work. Raises Refusal where the API answers with an error."""
        raise NotImplementedError


class ProductEndpoint(Endpoint):
    """A kind of request under the path of a product. It sees only the tasks of this product."""

    protected = True

    def __init__(self, core: Emulator, product: Product) -> None:
        super().__init__(core)
        self._product = product


class Create(ProductEndpoint):
    """Makes a task."""

    kind = "create"

    async def read(self, context: RequestContext) -> None:
        context.body = body = await self._body(context.request)
        if isinstance(body, CreateBody):
            context.entry.external_task_id, context.entry.effect_scene = body.external_task_id, body.request.title

    def subject(self, context: RequestContext) -> tuple[str, ...]:
        body = context.body
        return (body.request.title, body.external_task_id or "") if isinstance(body, CreateBody) else ()

    async def answer(self, context: RequestContext) -> Reply:
        if not isinstance(context.body, CreateBody):
            raise context.body or Refusal(1200)
        order = await self._core.accept(self._product, context.body, base=context.base, credential=context.entry.credential)
        now = self._core.now()
        record = self._core.account.create(order, now=now)
        context.entry.kling_task_id = record.kling_task_id
        if order.callback_url:
            self._core.changed()
        data = self._core.task_data(record, now=now, base=context.base)
        return succeeded(create_data(data), request_id=context.request_id)

    async def _body(self, request: web.Request) -> CreateBody | Refusal:
        try:
            data = await request.read()
            if len(data) > LARGE:
                return await asyncio.to_thread(read_create, self._product, data)
            return read_create(self._product, data)
        except Refusal as refusal:
            return refusal


class Get(ProductEndpoint):
    """Answers with the task of a task id or external id."""

    kind = "get"

    async def read(self, context: RequestContext) -> None:
        context.entry.id = context.last_part

    def subject(self, context: RequestContext) -> tuple[str, ...]:
        record = self._core.account.find(context.last_part, product=self._product)
        return (context.last_part, *(_names(record) if record else ()))

    async def answer(self, context: RequestContext) -> Reply:
        record = self._core.account.get(context.last_part, product=self._product)
        context.entry.kling_task_id = record.kling_task_id
        data = self._core.task_data(record, now=self._core.now(), base=context.base)
        return succeeded({**data, "watermark_info": {"enabled": True}}, request_id=context.request_id)


class List(ProductEndpoint):
    """Answers with one page of the tasks."""

    kind = "list"

    async def answer(self, context: RequestContext) -> Reply:
        number, size = read_page(context.request.query)
        now = self._core.now()
        records = self._core.account.page(self._product, number, size)
        tasks = [self._core.task_data(record, now=now, base=context.base) for record in records]
        return succeeded(tasks, request_id=context.request_id)


class Costs(Endpoint):
    """Answers with the account's resource packs."""

    kind = "costs"
    protected = True

    async def answer(self, context: RequestContext) -> Reply:
        query = context.request.query
        for name in ("start_time", "end_time"):
            if not query.get(name, "").isdecimal():
                raise Refusal(1201, f"{name} is invalid")
        data = self._core.account.costs(now=self._core.now(), name=query.get("resource_pack_name"))
        return succeeded(data, request_id=context.request_id)


class Charges(Endpoint):
    """Answers with a page of what was charged, in units or in money."""

    kind = "billing"
    protected = True

    def __init__(self, core: Emulator, paid_with: PaidWith) -> None:
        super().__init__(core)
        self._paid_with = paid_with

    def subject(self, context: RequestContext) -> tuple[str, ...]:
        return (self._paid_with,)

    async def answer(self, context: RequestContext) -> Reply:
        query = read_charge_query(self._paid_with, await context.request.read())
        data = self._core.account.charges(self._paid_with, query, now=self._core.now())
        return succeeded(data, request_id=context.request_id)


class VideoFile(Endpoint):
    """Answers with a video. Its link needs no credential."""

    kind = "video"

    def subject(self, context: RequestContext) -> tuple[str, ...]:
        found = self._core.linked(context.last_part)
        return _names(found[0]) if found else ()

    async def answer(self, context: RequestContext) -> Reply:
        found = self._core.linked(context.last_part)
        if found is None:
            return Reply(status=404, body=b"No such file", content_type="text/plain")
        record, link = found
        context.entry.kling_task_id = record.kling_task_id
        if link.epoch != record.epoch:
            return Reply(status=403, body=b"The link has expired", content_type="text/plain")
        order = record.order
        data = await self._core.videos.get(title=order.title, pictures=order.pictures, watermark=link.watermark)
        return Reply(status=200, body=data, content_type="video/mp4")


class WrongMethod(Endpoint):
    """A known path with a method that it does not have."""

    kind = "wrong_method"

    async def answer(self, context: RequestContext) -> Reply:
        raise Refusal(1202)


class Nowhere(Endpoint):
    """An unknown path."""

    kind = "nowhere"

    async def answer(self, context: RequestContext) -> Reply:
        return no_such_path(context.request.path, now=self._core.now())


def _names(record: Record) -> tuple[str, ...]:
    return record.kling_task_id, record.order.external_task_id or "", record.order.title
