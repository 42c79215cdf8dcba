"""Airflow's metrics and traces as the sink of this package's own.

Nothing here raises or waits: statsd is UDP, and a host that does not answer, or a wrong setting, costs the work nothing.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from airflow_provider_kling import api
from airflow_provider_kling.metrics import SILENT, Metric, Span

OTHER = "other"  # the tag of a scene that this version does not know, so that the number of time series stays small
LONGEST_TAG = 60

logger = logging.getLogger(__name__)


class AirflowSink:
    """Passes metrics to Airflow's stats, and spans to OpenTelemetry."""

    def record(self, metric: Metric, value: float = 1, *, conn_id: str, scene: str | None = None, **tags: str) -> None:
        """Send a metric with its tags, if Airflow's metrics are on."""
        try:
            every = {"conn_id": conn_id, "scene": str(scene) if scene and api.scene_of(scene) else OTHER, **tags}
            self._send(metric, value, {name: _tag(every[name]) for name in metric.tags})
        except Exception:
            logger.debug("Metric %s was not sent.", metric.name, exc_info=True)

    def _send(self, metric: Metric, value: float, tags: dict[str, str]) -> None:
        stats = _stats()
        match metric.kind:
            case "counter":
                stats.incr(metric.name, int(value) if value == int(value) else value, tags=tags)
            case "gauge":
                stats.gauge(metric.name, value, tags=tags)
            case "timer":
                stats.timing(metric.name, timedelta(seconds=value), tags=tags)

    @contextlib.contextmanager
    def span(self, name: str, **attributes: str | None) -> Iterator[Span]:
        """A span below the one of Airflow's task or trigger. Where tracing is off, OpenTelemetry itself does nothing."""
        trace = _trace()
        if trace is None:
            with SILENT.span(name) as silent:
                yield silent
            return
        # The text of an error is for the log; a span says which one it was.
        tracer = trace.get_tracer("airflow_provider_kling")
        with tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as opened:
            span = _Span(opened)
            span.set(**attributes)
            try:
                yield span
            except Exception as error:
                opened.set_status(trace.StatusCode.ERROR, type(error).__name__)
                raise


class _Span:
    def __init__(self, span: Any) -> None:
        self._span = span

    def set(self, **attributes: str | None) -> None:
        for name, value in attributes.items():
            if value is not None:
                self._span.set_attribute(f"kling.{name}", value)


@functools.cache
def _stats() -> Any:
    try:
        from airflow.sdk.observability.stats import Stats  # since Airflow 3.2
    except ImportError:
        from airflow.stats import Stats  # type: ignore[no-redef,assignment,unused-ignore]
    return Stats


@functools.cache
def _trace() -> Any:
    try:
        from opentelemetry import trace
    except ImportError:  # Airflow needs it only for its own traces
        return None
    return trace


def _tag(value: str) -> str:
    """A tag's value in the characters that statsd, in all its dialects, leaves as they are."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", value)[:LONGEST_TAG] or OTHER
