"""Triggers that wait for one Kling task.

A trigger's row in the database is plain text: it holds only ids, links and times, never a key, a token or an image.
Each trigger fires exactly one event, which `outcomes.task_of` reads: an error as `outcomes.error_event` writes it,
`{"timeout": …}`, or `{"task": …, "kling_conn_id": …, "effect_scene": …, "recorded": …}`, where `recorded` says whether the XCom
`kling_task` is written already. With `end_from_trigger`, a success ends the Airflow task here instead, with the XComs that a
worker would have written. Any other outcome goes to a worker, which reports it.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from airflow_provider_kling import client, naming
from airflow_provider_kling.client import flows
from airflow_provider_kling.triggers.base import CLASS_PATHS, OneEventTrigger, Outcome
from airflow_provider_kling.values import value

if TYPE_CHECKING:
    from airflow_provider_kling.api import EffectRequest, Task
    from airflow_provider_kling.dispatch import Dispatcher


XCOM_TIMEOUT = 60.0  # seconds for writing one XCom; after that, a worker writes it


@value
class AwaitedTask:
    """The task that a trigger has waited for.

    `recorded`: its ids are in the XCom that a worker would have written. `effect_scene`: the scene it was made with, if known.
    """

    task: Task
    recorded: bool
    effect_scene: str | None


class TaskWaitTrigger(OneEventTrigger):
    """Waits with the account's dispatcher. `deadline` and `not_before` are Unix times in seconds.

    With `end_from_trigger`, the trigger saves the videos of a succeeded task under `save_to`, as `save_as` says: what
    `naming.SaveAs.to_json` returned. `row_scene` is the scene of the manifest's row: enough for a tag of metrics.
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
        row_scene: str | None = None,
        save_to: str | None = None,
        end_from_trigger: bool = False,
        save_as: Mapping[str, Any] | None = None,
        **newer: Any,
    ) -> None:
        super().__init__(not_before=not_before, version=version, newer=newer)
        self.kling_conn_id = kling_conn_id
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.effect_scene = effect_scene
        self.row_id = row_id
        self.row_scene = row_scene
        self.save_to = save_to
        self.end_from_trigger = end_from_trigger
        self._task: Task | None = None
        self._scene: str | None = None
        self.save_as = None if save_as is None else dict(save_as)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{CLASS_PATHS}.{type(self).__name__}", {
            "kling_conn_id": self.kling_conn_id,
            "deadline": self.deadline,
            "poll_interval": self.poll_interval,
            "not_before": self.not_before,
            "effect_scene": self.effect_scene,
            "row_id": self.row_id,
            "row_scene": self.row_scene,
            "save_to": self.save_to,
            "end_from_trigger": self.end_from_trigger,
            "save_as": self.save_as,
            **self._row,
        }

    @abstractmethod
    async def wait(self, account: Dispatcher) -> AwaitedTask:
        """Wait for the task, and return it. Raises KlingError."""

    async def outcome(self) -> Outcome:
        from airflow_provider_kling.hooks import KlingHook

        async with KlingHook.dispatched(self.kling_conn_id) as account:
            awaited = await self.wait(account)
            self._task, self._scene = awaited.task, awaited.effect_scene
            event = {
                "task": awaited.task.to_json(),
                "kling_conn_id": self.kling_conn_id,
                "effect_scene": awaited.effect_scene,
                "recorded": awaited.recorded,
            }
            if self.end_from_trigger and awaited.recorded and self.task_instance is not None:
                return Outcome(event, await self.return_value_of(awaited, account))
        return Outcome(event)

    async def event_of(self, outcome: Outcome) -> TriggerEvent:
        if outcome.return_value is None or not await self.write_xcom("return_value", outcome.return_value):
            return await super().event_of(outcome)
        if not isinstance(outcome.return_value, dict):  # an operator that does not wait has no result yet
            return TaskSuccessEvent()
        self._count()
        return TaskSuccessEvent(xcoms=self._link())

    def _count(self) -> None:
        """Count the end in the metrics: no worker will."""
        from airflow_provider_kling.api import SUCCEED
        from airflow_provider_kling.hooks import AirflowSink
        from airflow_provider_kling.row_metrics import count_end

        count_end(AirflowSink(), status=SUCCEED, conn_id=self.kling_conn_id, scene=self._scene or self.row_scene, task=self._task)

    async def return_value_of(self, awaited: AwaitedTask, account: Dispatcher) -> Any:
        """Save the videos, and return the return value of the Airflow task; None if a worker is to do both."""
        from airflow_provider_kling.results import saved_result, write_sidecars

        task, save_as = awaited.task, naming.SaveAs.from_json(self.save_as or {"fields": {"row_id": self.row_id}})
        if not (task.succeeded and task.videos):
            return None
        try:
            files = await account.save(task, self.save_to, log=client.LevelLog(self.log), save_as=save_as) if self.save_to else None
            result = saved_result(task, files, effect_scene=awaited.effect_scene, row_id=self.row_id)
            if files and save_as.sidecar:
                await asyncio.to_thread(write_sidecars, result)
        except Exception as error:  # noqa: BLE001 - a worker tries again, and reports the error
            self.log.warning("The video is not saved yet, a worker will save it: %s", error)
            return None
        return result

    def _link(self) -> dict[str, Any]:
        """The XCom of the extra link, which Airflow writes together with the state of the task instance.

        As of a worker's, it writes it without a backend of XComs. It stores the value as JSON in JSON; of all readers, its
        routes for links and for XComs take both off again (`XComOperatorLink.get_link`, `XComModel.deserialize_value`).
        """
        from airflow_provider_kling.links import KlingVideoLink

        link = KlingVideoLink()
        return {link.xcom_key: link.get_link(None, ti_key=self.task_instance)}  # type: ignore[arg-type]

    async def write_xcom(self, key: str, value: Any) -> bool:
        """Write an XCom of the task instance. Returns whether that worked."""
        ti = self.task_instance
        if ti is None or not hasattr(XCom, "aset"):  # under `dag.test()`; before Airflow 3.3
            return False
        task_instance = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}
        try:
            # In a thread: the backend of an object store may start an event loop of its own, which fails in a running one.
            await asyncio.wait_for(asyncio.to_thread(XCom.set, key, value, **task_instance), XCOM_TIMEOUT)
        except Exception as error:  # noqa: BLE001 - it is logged, and a worker writes the XCom
            self.log.warning("XCom %s is not written yet, a worker will write it: %s", key, str(error) or type(error).__name__)
            return False
        return True


class KlingTaskTrigger(TaskWaitTrigger):
    """Waits until a task is done."""

    def __init__(self, *, kling_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kling_task_id = kling_task_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path, kwargs = super().serialize()
        return path, {"kling_task_id": self.kling_task_id, **kwargs}

    async def wait(self, account: Dispatcher) -> AwaitedTask:
        task = await account.wait(
            self.kling_task_id,
            deadline=self.deadline,
            poll_interval=self.poll_interval,
            first_poll=self.held_until,
            log=self.log.info,
        )
        return AwaitedTask(task, recorded=True, effect_scene=self.effect_scene)


class KlingEffectTrigger(TaskWaitTrigger):
    """Waits for a slot, creates the task and, with `wait_for_completion`, waits until it is done.

    `images` are sources that the triggerer can read: URLs, URIs of an object store, or paths in a shared folder. `tries` is
    the number of the Airflow task's try: so many tasks may be created for the submission, one after the other has failed.
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
        tries: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(effect_scene=effect_scene, **kwargs)
        self.images = list(images)
        self.external_id = external_id
        self.callback_url = callback_url
        self.wait_for_completion = wait_for_completion
        self.tries = tries

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path, kwargs = super().serialize()
        return path, {
            "images": self.images,
            "external_id": self.external_id,
            "callback_url": self.callback_url,
            "wait_for_completion": self.wait_for_completion,
            "tries": self.tries,
            **kwargs,
        }

    async def wait(self, account: Dispatcher) -> AwaitedTask:
        from airflow_provider_kling.outcomes import task_ids
        from airflow_provider_kling.results import CREATED_TASK

        submission = flows.Submission(
            request=self._request,
            external_id=self.external_id,
            scene=self.effect_scene,
            callback_url=self.callback_url,
            adopt_existing=True,  # an earlier run of this trigger, here or in another triggerer, may have created the task
            max_attempts=self._max_attempts,  # such a run may have seen a task fail: it is not asked for again in this try
        )
        task = await account.create(submission, deadline=self.deadline, group=self._group, log=client.LevelLog(self.log))
        self.log.info("%s", flows.describe(task))
        effect_scene = self.effect_scene if submission.surely_made(task) else None
        # Before the wait: a user who marks the Airflow task as failed meanwhile must be able to find the paid task.
        ids = task_ids(task, row_id=self.row_id, effect_scene=effect_scene)
        recorded = await self.write_xcom(CREATED_TASK, ids)
        if not task.done and self.wait_for_completion:
            task = await account.wait(
                task.kling_task_id,
                deadline=self.deadline,
                poll_interval=self.poll_interval,
                status=task.status,
                log=self.log.info,
            )
        return AwaitedTask(task, recorded, effect_scene=effect_scene)

    async def return_value_of(self, awaited: AwaitedTask, account: Dispatcher) -> Any:
        return await super().return_value_of(awaited, account) if self.wait_for_completion else awaited.task.kling_task_id

    @property
    def _max_attempts(self) -> int:
        """The number of the try. Rows of form 3 and older do not hold it; a triggerer knows it."""
        return max(1, self.tries, getattr(self.task_instance, "try_number", None) or 1)

    @property
    def _group(self) -> str:
        """The DAG run. Several DAG runs take turns for the slots."""
        ti = self.task_instance
        return f"{ti.dag_id} {ti.run_id}" if ti is not None else ""

    def _request(self) -> EffectRequest:
        """The request. Its images are loaded only when it is sent, not held in memory during the wait for a slot."""
        from airflow_provider_kling.api import EffectRequest
        from airflow_provider_kling.manifests import load_image

        return EffectRequest(self.effect_scene, [load_image(source) for source in self.images])
