"""How a driver counts in the metrics what a flow asks it to, and the bytes of videos."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_kling.client.flows import Count
from airflow_provider_kling.client.settings import KlingSettings
from airflow_provider_kling.metrics import BYTES_SAVED, Sink


def count(sink: Sink, settings: KlingSettings, step: Count) -> None:
    """Take the step `Count` of a flow."""
    sink.record(step.metric, conn_id=settings.conn_id, scene=step.scene, code=str(step.code or ""))


class Written:
    """A function that writes the chunks of a video, and counts their bytes."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._bytes = 0

    def __call__(self, chunk: bytes) -> object:
        self._bytes += len(chunk)
        return self._write(chunk)

    def count(self, sink: Sink, settings: KlingSettings) -> None:
        """Count the video, now that it is saved."""
        sink.record(BYTES_SAVED, self._bytes, conn_id=settings.conn_id)
