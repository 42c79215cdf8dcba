"""What waits in the triggerer: for a slot, and for a task to be done.

A trigger's row in the database is plain text: ids, links and times only, never a key, a token or an image.
Each trigger fires exactly one event, read by `endings.task_of`: `{"task": …, "kling_conn_id": …}`, `{"timeout": …}` or
`{"error": …, "retryable": …, "invalid": …}`. With `end_from_trigger` a success ends the Airflow task here instead, with
all that a worker would have left; whatever else happens goes to a worker, which has a word for it.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_provider_kling.client import flows
from airflow_provider_kling.errors import KlingError, KlingInputError, KlingSettingsError, KlingTimeoutError
from airflow_provider_kling.manifests import is_portable

if TYPE_CHECKING:
    from airflow_provider_kling.api import EffectRequest, Task
    from airflow_provider_kling.dispatch import Dispatcher
    from airflow_provider_kling.operators import KlingEffectOperator
    from airflow_provider_kling.sensors import KlingTaskSensor

# An event within about ten seconds of the deferral can make Airflow (3.3.2) fail the task with "state mismatch":
# apache/airflow#67287, #72716. Tasks take minutes, so holding the first event back costs nothing.
HOLD_BACK = 10.0  # seconds


# Rows in Airflow's database name the classes by this path, which stays importable for ever.
CLASS_PATHS = "airflow_provider_kling.triggers"

DEFER_GRACE = 300.0  # seconds past the deadline: a triggerer that does not run is no reason to wait forever

# The form of a trigger's row, counted up when an older triggerer could no longer do what a row asks for. Rows of older
# forms go on to be understood: arguments that came later have a default (tests/rows holds one of each form). Rows
# without a version are of form 1.
VERSION = 3


def form_of(version: int, newer: Mapping[str, Any]) -> dict[str, Any]:
    """What a row holds beside the arguments that this version knows, to be written back as it is.

    `newer` is what a newer version has written, and `check_version` speaks of; in a row of this form it is a TypeError.
    """
    if newer and version <= VERSION:
        raise TypeError(f"unknown arguments: {', '.join(newer)}")
    return {"version": version, **newer}


def check_version(version: int) -> None:
    """Raise a KlingError that may pass if a row was written by a newer version of this package than runs here."""
    if version <= VERSION:
        return
    error = KlingError(
        f"This triggerer runs an older version of airflow-provider-kling than the worker that deferred (form {version} "
        f"of a trigger's row, known here: {VERSION}). Nothing was done. Install the same version there and restart it."
    )
    error.retryable = True
    raise error


def defer(
    operator: KlingEffectOperator | KlingTaskSensor,
    trigger: type[_KlingTrigger],
    *,
    kling_conn_id: str,
    deadline: float,
    **kwargs: Any,
) -> NoReturn:
    """Hand the waiting of an operator or sensor over to the triggerer, until `deadline` (Unix seconds)."""
    now = time.time()
    operator.log.info("Waiting in the triggerer, at most %s.", flows.format_seconds(deadline - now))
    operator.defer(
        trigger=trigger(
            kling_conn_id=kling_conn_id,
            deadline=deadline,
            not_before=now + HOLD_BACK,
            version=VERSION,
            row_id=operator.row_id,
            save_to=operator.save_to,
            end_from_trigger=_may_end(operator),
            **kwargs,
        ),
        method_name="execute_complete",
        timeout=timedelta(seconds=max(0.0, deadline - now) + DEFER_GRACE),
    )
    raise AssertionError("unreachable")


def _may_end(operator: KlingEffectOperator | KlingTaskSensor) -> bool:
    """Whether the triggerer may end this task in success. Says why not, where that was wished for."""
    if not operator.end_from_trigger:
        return False
    reason = _why_a_worker(operator)
    if reason:
        operator.log.warning("end_from_trigger is set, but a worker ends this task: %s.", reason)
    return not reason


def _why_a_worker(operator: KlingEffectOperator | KlingTaskSensor) -> str:
    """What would be lost if no worker ended this task."""
    if not hasattr(XCom, "aset"):
        return "before Airflow 3.3 the triggerer cannot leave a return value"
    if operator.outlets:
        return "it has outlets, whose asset events only a worker makes"
    if operator.on_success_callback:
        return "only a worker calls on_success_callback"
    if not operator.do_xcom_push or getattr(operator, "multiple_outputs", False):
        return "do_xcom_push or multiple_outputs is not as delivered"
    if getattr(operator, "returns_dag_result", False) or next(operator.iter_mapped_dependants(), None) is not None:
        return "its return value is the DAG's result, or is mapped over"
    if operator.save_to and not is_portable(operator.save_to):
        return f"save_to {operator.save_to!r} may be another folder for the triggerer (see [kling] shared_folders)"
    return ""


class OneEventTrigger(BaseTrigger):
    """Says in one event, and not before a time, how what it awaits has ended; whatever goes wrong is said there, too.

    `not_before` is a Unix time in seconds, so that a restart of the triggerer does not change it.
    """

    def __init__(self, *, not_before: float, version: int, newer: Mapping[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._row = form_of(version, newer)
        self.not_before = not_before

    @abstractmethod
    async def outcome(self) -> dict[str, Any]:
        """The event for what has ended well. Raises KlingError for all else."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        try:
            check_version(self._row["version"])
            event = await self.outcome()
        except KlingTimeoutError as error:
            event = {"timeout": str(error)}
        except KlingError as error:
            event = {
                "error": str(error),
                "retryable": error.retryable,
                "invalid": isinstance(error, KlingInputError) and not isinstance(error, KlingSettingsError),
            }
        await asyncio.sleep(self.held_until - time.time())
        yield await self.ending(event)

    async def ending(self, event: dict[str, Any]) -> TriggerEvent:
        """What is fired for this event: by default the event itself, which resumes the task on a worker."""
        return TriggerEvent(event)

    @property
    def held_until(self) -> float:
        """When the event may be fired. `dag.test()` runs triggers outside of a triggerer, where nothing need be held."""
        return self.not_before if self.task_instance is not None else 0.0

    async def on_kill(self) -> None:
        """Called since Airflow 3.3 when the task instance is cleared or marked while it is deferred."""
        self.log.info("This triggerer no longer waits. Kling has no cancel: what was created goes on there and will be charged.")


class _KlingTrigger(OneEventTrigger):
    """Awaits a task with the account's dispatcher. `deadline` is a Unix time in seconds, as `not_before` is.

    With `end_from_trigger` the videos of a task that succeeds are saved here, under `save_to`.
    """

    def __init__(
        self,
        *,
        kling_conn_id: str,
        deadline: float,
        poll_interval: float,
        not_before: float,
        version: int = 1,
        effect_scene: str | None = None,
        row_id: str | None = None,
        save_to: str | None = None,
        end_from_trigger: bool = False,
        **newer: Any,
    ) -> None:
        super().__init__(not_before=not_before, version=version, newer=newer)
        self.kling_conn_id = kling_conn_id
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.effect_scene = effect_scene
        self.row_id = row_id
        self.save_to = save_to
        self.end_from_trigger = end_from_trigger
        self._return_value: Any = None  # what the Airflow task returns, if it is to end here

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{CLASS_PATHS}.{type(self).__name__}", {
            "kling_conn_id": self.kling_conn_id,
            "deadline": self.deadline,
            "poll_interval": self.poll_interval,
            "not_before": self.not_before,
            "effect_scene": self.effect_scene,
            "row_id": self.row_id,
            "save_to": self.save_to,
            "end_from_trigger": self.end_from_trigger,
            **self._row,
        }

    @abstractmethod
    async def awaited(self, account: Dispatcher) -> Task:
        """The task that this trigger waits for."""

    async def outcome(self) -> dict[str, Any]:
        from airflow_provider_kling.hooks import KlingHook

        async with KlingHook.dispatched(self.kling_conn_id) as account:
            task = await self.awaited(account)
            if self.end_from_trigger and self.task_instance is not None:
                self._return_value = await self._returned(task, account)
        return {"task": task.to_json(), "kling_conn_id": self.kling_conn_id}

    async def ending(self, event: dict[str, Any]) -> TriggerEvent:
        if self._return_value is None:
            return await super().ending(event)
        left = await self._leave("return_value", self._return_value)
        if left and isinstance(self._return_value, dict):
            from airflow_provider_kling.links import KlingVideoLink

            left = await self._leave(KlingVideoLink().xcom_key, self._return_value["videos"][0]["url"])
        return TaskSuccessEvent() if left else await super().ending(event)

    async def _returned(self, task: Task, account: Dispatcher) -> Any:
        """What the Airflow task returns, with the videos saved; None where a worker is to see to it."""
        from airflow_provider_kling.results import result_of

        if not (task.succeeded and task.videos):
            return None
        try:
            paths = await account.save(task, self.save_to, say=self.log.info) if self.save_to else []
        except Exception as error:  # noqa: BLE001 - a worker tries again, and says of the row what is wrong
            self.log.warning("The video is not saved yet, a worker will do it: %s", error)
            return None
        result = result_of(task, effect_scene=self.effect_scene, paths=paths)
        return result if self.row_id is None else {**result, "row_id": self.row_id}

    async def _leave(self, key: str, value: Any) -> bool:
        """Write an XCom of the task instance; whether that was possible."""
        ti = self.task_instance
        if ti is None or not hasattr(XCom, "aset"):  # under `dag.test()`; before Airflow 3.3
            return False
        place = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}
        try:
            await XCom.aset(key, value, **place)
        except Exception as error:  # noqa: BLE001 - a worker leaves it once more, and the log tells
            self.log.warning("XCom %s is not written yet: %s", key, error)
            return False
        return True


class KlingTaskTrigger(_KlingTrigger):
    """Waits until a task is done."""

    def __init__(self, *, kling_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kling_task_id = kling_task_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path, kwargs = super().serialize()
        return path, {"kling_task_id": self.kling_task_id, **kwargs}

    async def awaited(self, account: Dispatcher) -> Task:
        return await account.wait(
            self.kling_task_id,
            deadline=self.deadline,
            poll_interval=self.poll_interval,
            first_look=self.held_until,
            say=self.log.info,
        )


class KlingEffectTrigger(_KlingTrigger):
    """Waits for a slot, creates the task and, with `wait_for_completion`, waits until it is done.

    `images` are sources that the triggerer can read as the worker does: URLs, or URIs of an object store.
    """

    effect_scene: str

    def __init__(
        self,
        *,
        effect_scene: str,
        images: Sequence[str],
        external_id: str,
        callback_url: str | None,
        wait_for_completion: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(effect_scene=effect_scene, **kwargs)
        self.images = list(images)
        self.external_id = external_id
        self.callback_url = callback_url
        self.wait_for_completion = wait_for_completion
        self._known = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path, kwargs = super().serialize()
        return path, {
            "images": self.images,
            "external_id": self.external_id,
            "callback_url": self.callback_url,
            "wait_for_completion": self.wait_for_completion,
            **kwargs,
        }

    async def awaited(self, account: Dispatcher) -> Task:
        from airflow_provider_kling.outcomes import CREATED_TASK, task_ids

        # An earlier run of this trigger, here or in another triggerer, may have come as far as a create.
        submission = flows.Submission(request=self._request, external_id=self.external_id, callback_url=self.callback_url)
        task = await account.create(submission, adopt_existing=True, deadline=self.deadline, group=self._group, say=self.log.info)
        self.log.info("%s", flows.describe(task))
        # Now, for whoever marks this as failed while it waits is to find what is paid for.
        self._known = await self._leave(CREATED_TASK, dict(task_ids(task, row_id=self.row_id)))
        if task.done or not self.wait_for_completion:
            return task
        return await account.wait(
            task.kling_task_id, deadline=self.deadline, poll_interval=self.poll_interval, status=task.status, say=self.log.info
        )

    async def _returned(self, task: Task, account: Dispatcher) -> Any:
        if not self._known:
            return None
        return await super()._returned(task, account) if self.wait_for_completion else task.kling_task_id

    @property
    def _group(self) -> str:
        """The DAG run: several of them take turns for the slots."""
        ti = self.task_instance
        return f"{ti.dag_id} {ti.run_id}" if ti is not None else ""

    def _request(self) -> EffectRequest:
        """The images are loaded when they are sent, and not held while a slot is waited for."""
        from airflow_provider_kling.api import EffectRequest
        from airflow_provider_kling.manifests import load_image

        return EffectRequest(self.effect_scene, [load_image(source) for source in self.images])
