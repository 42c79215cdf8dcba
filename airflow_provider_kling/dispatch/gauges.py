"""The gauges of one account in one process: requests that wait, and slots that are taken."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from airflow_provider_kling.dispatch.slots import Slots
from airflow_provider_kling.metrics import SLOTS_IN_USE, WAITING

if TYPE_CHECKING:
    from airflow_provider_kling.client import AsyncClient

REPEATED = 10.0  # seconds after which a gauge is sent again, though it has not changed: statsd may have lost it


class Gauges:
    """Sends the gauges to the client's sink when they change. At the end of the dispatcher they are 0."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._shown: tuple[int, int] | None = None
        self._shown_at = -math.inf

    def show(self, slots: Slots, now: float) -> None:
        """Send what has changed, and now and then all."""
        values = slots.waiting, len(slots.ours) + slots.others
        if values != self._shown or now - self._shown_at >= REPEATED:
            self._send(values)
            self._shown_at = now

    def end(self) -> None:
        """This process waits for nothing more, and knows of no slots any more."""
        if self._shown is not None:
            self._send((0, 0))
            self._shown = None

    def _send(self, values: tuple[int, int]) -> None:
        self._shown = values
        for metric, value in zip((WAITING, SLOTS_IN_USE), values, strict=True):
            self._client.sink.record(metric, value, conn_id=self._client.settings.conn_id)
