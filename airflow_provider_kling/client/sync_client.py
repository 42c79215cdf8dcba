"""A Kling account over urllib3, for workers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import tenacity

from airflow_provider_kling import saved_videos
from airflow_provider_kling.api import Call
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
from airflow_provider_kling.client.urllib3_transport import Urllib3Transport
from airflow_provider_kling.errors import KlingError
from airflow_provider_kling.metrics import SILENT, Sink

T = TypeVar("T")


class Client:
    """Sends calls, drives flows and saves videos over keep-alive sessions. Raises KlingError for all that goes wrong.

    Reads are repeated over faults that may pass, with growing, jittered pauses, and as long as the server asks for. A
    create is sent once.
    """

    def __init__(
        self, attempts: Attempts, *, log: Callable[[str], object], sink: Sink = SILENT, spending: Spending | None = None
    ) -> None:
        self.settings = attempts.settings
        self._attempts = attempts
        self._transport = Urllib3Transport(attempts.settings)
        self._log = log
        self._spending = spending
        self.sink = sink  # of metrics and spans

    def send(self, call: Call[T], *, tries: int = READ_TRIES, deadline: float | None = None) -> T:
        """What the API answers to one call; a read is tried so often, a create once. At the deadline it ends with an error."""
        with self._attempts.explained():
            for attempt in tenacity.Retrying(**self._attempts.policy(tries if call.safe else 1, deadline=deadline)):
                with attempt:
                    return call.read(self._transport.send(call, self._attempts.token(), deadline=deadline))
        raise AssertionError("unreachable")

    def run(self, flow: Flow[T], *, deadline: float | None = None) -> T:
        """Take the steps of a flow, one after the other, and return what it returns.

        No step outlives the `deadline`, on the clock of `time.monotonic`.
        """
        try:
            step = next(flow)
            while True:
                try:
                    brought = self._take(step, deadline)
                except KlingError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(brought)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def close(self) -> None:
        self._transport.close()

    def _take(self, step: Step, deadline: float | None) -> Any:
        match step:
            case Call():
                return self.send(step, deadline=deadline)
            case CheckCapacity(product):
                if self.settings.max_concurrency:
                    check_capacity(self.settings, self.send(capacity_call(product), deadline=deadline))
                return None
            case Reserve():
                return Reserved.HAD if self._spending is None else self._spending.reserve(step)
            case GiveBack(external_id):
                if self._spending is not None:
                    self._spending.give_back(external_id)
                return None
            case Sleep(seconds):
                time.sleep(bounded(seconds, deadline))
                return time.monotonic()
            case LoadRequest(load):
                return load()
            case SaveVideo():
                return self._save(step, deadline)
            case Log():
                return write_line(self._log, step)
            case Count():
                return count(self.sink, self.settings, step)
        raise TypeError(f"not a step: {step!r}")

    def _save(self, step: SaveVideo, deadline: float | None) -> Saved:
        place = saved_videos.place_of(step.destination, step.names)
        if place.saved:
            return Saved(place.location, new=False)
        for attempt in tenacity.Retrying(**self._attempts.policy(READ_TRIES, deadline=deadline)):
            with attempt, saved_videos.writing_video(place) as file:
                written = Written(file.write)
                self._transport.fetch(step.url, written, deadline=deadline)
        written.count(self.sink, self.settings)
        return Saved(place.location, new=True, note=place.note)
