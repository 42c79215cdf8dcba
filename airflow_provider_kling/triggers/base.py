"""The base of all triggers: one event each, rows that a newer or older version can read, and errors as events."""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_kling.client import monotonic_deadline, monotonic_now
from airflow_provider_kling.errors import KlingError, KlingTimeoutError
from airflow_provider_kling.outcomes import error_event
from airflow_provider_kling.values import value

# Rows in Airflow's database name the classes by this path, which stays importable for ever.
CLASS_PATHS = "airflow_provider_kling.triggers"

# An event within about ten seconds of the deferral can make Airflow (3.3.2) fail the task with "state mismatch":
# apache/airflow#67287, #72716. Kling tasks take minutes, so holding the event back costs no time.
HOLD_BACK = 10.0  # seconds

# The form of a trigger's row. It increases when an older triggerer cannot do what a row requires. Rows of older forms
# still run: later arguments have a default (tests/rows holds a row of each form). A row without a version has form 1.
VERSION = 7


def version_fields(version: int, newer: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row that this version does not interpret, and writes back unchanged.

    `newer` holds the arguments of a newer version, which `check_version` refuses. In a row of this form they are a mistake:
    TypeError.
    """
    if newer and version <= VERSION:
        raise TypeError(f"unknown arguments: {', '.join(newer)}")
    return {"version": version, **newer}


def check_version(version: int) -> None:
    """Raise a retryable KlingError if a newer version of this package has written the row."""
    if version <= VERSION:
        return
    error = KlingError(
        f"This triggerer runs an older version of airflow-provider-kling than the worker that deferred (form {version} "
        f"of a trigger's row, known here: {VERSION}). Nothing was done. Install the same version there and restart it."
    )
    error.retryable = True
    raise error


@value
class Outcome:
    """The result of a wait: the event that resumes the Airflow task on a worker.

    `return_value` is the return value of the Airflow task if the triggerer ends it; None if a worker is to end it.
    """

    event: dict[str, Any]
    return_value: Any = None


_LOADED = threading.Event()  # the rest


def load_rest() -> None:
    """Load what a trigger uses while it runs: a worker that defers does not need it, and the event loop is not to wait for it."""
    from airflow_provider_kling import api, client, dispatch, hooks, manifests, naming, results

    uses: dict[Any, tuple[str, ...]] = {
        api: ("EFFECTS", "EffectRequest", "Task", "get_call", "create_call", "page_call", "error_kind"),
        client: ("AsyncClient", "Attempts", "LevelLog", "Submission"),
        client.flows: ("create_when_free", "wait", "save_files", "describe"),
        dispatch: ("shared",),
        hooks: ("KlingHook", "AirflowSink"),
        manifests: ("load_image",),
        naming: ("SaveAs", "Template", "VideoName"),
        results: ("saved_result", "write_sidecars", "decimal_of", "CREATED_TASK"),
    }
    for room, names in uses.items():
        for name in names:
            getattr(room, name)
    _LOADED.set()


class OneEventTrigger(BaseTrigger):
    """Fires exactly one event, at `not_before` or later. A KlingError becomes an event too.

    `not_before` is a Unix time in seconds, so that a restart of the triggerer does not change it.
    """

    def __init__(self, *, not_before: float, version: int, newer: Mapping[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._row = version_fields(version, newer)
        self.not_before = not_before

    @abstractmethod
    async def outcome(self) -> Outcome:
        """Wait, and return the outcome. Raises KlingError."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        # On a clock that nobody can set, and no longer than a deferral asks for.
        held_until = min(monotonic_deadline(self.held_until), monotonic_now() + HOLD_BACK)
        try:
            check_version(self._row["version"])
            if not _LOADED.is_set():
                await asyncio.to_thread(load_rest)
            outcome = await self.outcome()
        except KlingTimeoutError as error:
            outcome = Outcome({"timeout": str(error)})
        except KlingError as error:
            outcome = Outcome(error_event(error))
        await asyncio.sleep(held_until - monotonic_now())
        yield await self.event_of(outcome)

    async def event_of(self, outcome: Outcome) -> TriggerEvent:
        """The event to fire for this outcome. By default it resumes the task on a worker."""
        return TriggerEvent(outcome.event)

    @property
    def held_until(self) -> float:
        """When the event may be fired (Unix seconds). `dag.test()` runs triggers without a triggerer; there, it is 0."""
        return self.not_before if self.task_instance is not None else 0.0

    async def on_kill(self) -> None:
        """Called by Airflow 3.3 and later when the deferred task instance is cleared or marked."""
        self.log.info("This triggerer no longer waits. Kling has no cancel: what was created goes on there and will be charged.")
