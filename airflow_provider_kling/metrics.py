"""All metrics of this package by name, and what they are told to. Pure: a `Sink` passes them on, where there is one.

`client` and `dispatch` are handed a sink and know nothing of Airflow. `hooks.AirflowSink` is the one behind which Airflow's
own metrics and traces stand. docs/reference/metrics.md holds the same table.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Literal, Protocol

from airflow_provider_kling.values import value

PREFIX = "kling"


@value
class Metric:
    """One metric: its name, its kind, its tags, and what it says.

    A counter grows by the value of each event, a gauge has the value of the last one. The values of a timer are in seconds.
    """

    name: str
    kind: Literal["counter", "gauge", "timer"]
    tags: tuple[str, ...]
    description: str


_ACCOUNT, _REQUEST = ("conn_id",), ("conn_id", "scene")

CREATED = Metric(
    "kling.created",
    "counter",
    _REQUEST,
    "Tasks that were created at Kling; also one whose answer was lost and that a lookup showed.",
)
REFUSED = Metric(
    "kling.refused",
    "counter",
    (*_REQUEST, "code"),
    "Creates that Kling refused, to be sent again: no free slot (`code` 1303), too many requests (1302).",
)
ADOPTED = Metric("kling.adopted", "counter", _REQUEST, "Tasks of an earlier attempt that were used in place of a new, paid one.")
DONE = Metric("kling.done", "counter", _REQUEST, "Requests that ended with their video.")
FAILED = Metric(
    "kling.failed",
    "counter",
    (*_REQUEST, "kind", "error_kind"),
    "Requests that ended without a video, by the row's status and what the error is about.",
)
UNITS = Metric("kling.units", "counter", _REQUEST, "Units that Kling has charged for the requests that ended.")
SECONDS_AT_KLING = Metric(
    "kling.seconds_at_kling", "timer", _REQUEST, "How long Kling worked on a task, from its create to its end, by Kling's clock."
)
BYTES_SAVED = Metric(
    "kling.bytes_saved", "counter", _ACCOUNT, "Bytes of videos that were saved. A file that existed does not count."
)
WAITING = Metric(
    "kling.waiting", "gauge", _ACCOUNT, "Requests that wait for a slot in this process: a triggerer, or a batch on a worker."
)
SLOTS_IN_USE = Metric(
    "kling.slots_in_use",
    "gauge",
    _ACCOUNT,
    "Slots that are taken, as far as this process knows: its own tasks, and others that the account's list showed.",
)

CALLBACKS = Metric(
    "kling.callbacks",
    "counter",
    (*_ACCOUNT, "result"),
    "Callbacks that the API server has received, by [the word it answered](../guides/callbacks.md).",
)

METRICS = (CREATED, REFUSED, ADOPTED, DONE, FAILED, UNITS, SECONDS_AT_KLING, BYTES_SAVED, WAITING, SLOTS_IN_USE, CALLBACKS)

# The spans of a trace: one each for the create with its wait for a slot, for the wait until the task is done, and for saving.
CREATE_SPAN, WAIT_SPAN, SAVE_SPAN = "kling.create", "kling.wait", "kling.save"


class Span(Protocol):
    """A span that is open."""

    def set(self, **attributes: str | None) -> None:
        """Set attributes, like `kling_task_id`. None sets nothing."""


class Sink(Protocol):
    """Where metrics and spans go. No method raises, or waits for anything."""

    def record(self, metric: Metric, value: float = 1, *, conn_id: str, scene: str | None = None, **tags: str) -> None:
        """Pass an event on. The tag `scene` is added where the metric has it."""

    def span(self, name: str, **attributes: str | None) -> AbstractContextManager[Span]:
        """A span around a block, where tracing is on."""


class _Nothing:
    def record(self, metric: Metric, value: float = 1, *, conn_id: str, scene: str | None = None, **tags: str) -> None:
        pass

    def span(self, name: str, **attributes: str | None) -> AbstractContextManager[Span]:
        return contextlib.nullcontext(self)

    def set(self, **attributes: str | None) -> None:
        pass


SILENT: Sink = _Nothing()
