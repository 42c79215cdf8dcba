"""A Kling account over aiohttp, for the triggerer and the batch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import tenacity

from airflow_provider_kling import saved_videos
from airflow_provider_kling.api import Call
from airflow_provider_kling.client.aiohttp_transport import AiohttpTransport
from airflow_provider_kling.client.capacity import capacity_call, check_capacity
from airflow_provider_kling.client.counting import Written, count
from airflow_provider_kling.client.deadlines import bounded
from airflow_provider_kling.client.flows import (
    CheckCapacity,
    Count,
    Flow,
    GiveBack,
    LoadRequest,
    Log,
    Reserve,
    Reserved,
    Saved,
    SaveVideo,
    Sleep,
    Step,
)
from airflow_provider_kling.client.logs import write_line
from airflow_provider_kling.client.retrying import READ_TRIES, Attempts
from airflow_provider_kling.client.spending import Spending
from airflow_provider_kling.client.transport import PARSED_AT_ONCE
from airflow_provider_kling.errors import KlingError
from airflow_provider_kling.metrics import SILENT, Sink

T = TypeVar("T")


class AsyncClient:
    """`Client` on an event loop. It belongs to the loop in which it was made."""

    sink: Sink = SILENT  # of metrics and spans
    _spending: Spending | None = None

    def __init__(
        self, attempts: Attempts, *, log: Callable[[str], object], sink: Sink = SILENT, spending: Spending | None = None
    ) -> None:
        self.settings = attempts.settings
        self._attempts = attempts
        self._transport = AiohttpTransport(attempts.settings)
        self._log = log
        self._spending = spending
        self.sink = sink

    async def send(self, call: Call[T], *, tries: int = READ_TRIES, deadline: float | None = None) -> T:
        """What the API answers to one call; a read is tried so often, a create once. At the deadline it ends with an error."""
        with self._attempts.explained():
            async for attempt in tenacity.AsyncRetrying(**self._attempts.policy(tries if call.safe else 1, deadline=deadline)):
                with attempt:
                    response = await self._transport.send(call, self._attempts.token(), deadline=deadline)
                    if len(response.body) > PARSED_AT_ONCE:
                        return await asyncio.to_thread(call.read, response)
                    return call.read(response)
        raise AssertionError("unreachable")

    async def run(
        self,
        flow: Flow[T],
        *,
        deadline: float | None = None,
        log: Callable[[str], object] | None = None,
        take: Callable[[Step], Awaitable[Any]] | None = None,
    ) -> T:
        """Take the steps of a flow, one after the other, and return what it returns.

        `log` gets the flow's lines instead of the client's own log. `take` takes the steps instead of the method `take`.
        No step outlives the `deadline`, on the clock of the event loop.
        """
        try:
            step = next(flow)
            while True:
                try:
                    if isinstance(step, Log):
                        brought = write_line(log or self._log, step)
                    elif isinstance(step, Count):
                        count(self.sink, self.settings, step)
                        brought = None
                    else:
                        brought = await (take(step) if take else self.take(step, deadline=deadline))
                except KlingError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(brought)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def take(self, step: Step, *, deadline: float | None = None) -> Any:
        """Take one step of a flow, and return what it brings."""
        match step:
            case Call():
                return await self.send(step, deadline=deadline)
            case CheckCapacity(product):
                if self.settings.max_concurrency:
                    check_capacity(self.settings, await self.send(capacity_call(product), deadline=deadline))
                return None
            case Reserve():
                return Reserved.HAD if self._spending is None else await asyncio.to_thread(self._spending.reserve, step)
            case GiveBack(external_id):
                if self._spending is not None:
                    await asyncio.to_thread(self._spending.give_back, external_id)
                return None
            case Sleep(seconds):
                await asyncio.sleep(bounded(seconds, deadline))
                return asyncio.get_running_loop().time()
            case LoadRequest(load):
                return await asyncio.to_thread(load)
            case SaveVideo():
                return await self._save(step, deadline)
        raise TypeError(f"not a step: {step!r}")

    async def close(self) -> None:
        await self._transport.close()

    async def _save(self, step: SaveVideo, deadline: float | None) -> Saved:
        place = await asyncio.to_thread(saved_videos.place_of, step.destination, step.names)
        if place.saved:
            return Saved(place.location, new=False)
        async for attempt in tenacity.AsyncRetrying(**self._attempts.policy(READ_TRIES, deadline=deadline)):
            with attempt:
                async with saved_videos.awriting_video(place) as file:
                    written = Written(file.write)
                    await self._transport.fetch(step.url, written, deadline=deadline)
        written.count(self.sink, self.settings)
        return Saved(place.location, new=True, note=place.note)
