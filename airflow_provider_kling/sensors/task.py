"""KlingTaskSensor: waits until a Kling task is done."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_kling.links import KlingVideoLink
from airflow_provider_kling.operator_base import KlingOperator
from airflow_provider_kling.outcomes import earlier_attempt, finish, recording_failures, seconds, task_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.api import Task
    from airflow_provider_kling.hooks import KlingHook


class KlingTaskSensor(KlingOperator, BaseSensorOperator):
    """Waits until a Kling task is done. Its XCom is the result (plain JSON, see the docs).

    :param kling_task_id: the Kling task id, or the external id. Templated.
    :param save_to: a folder or URI for the videos. An existing file is not downloaded again. Templated.
    :param kling_conn_id: the connection of the account that has the task. If that may be one of several accounts: a list of
        their connections, or a text with commas. Templated.
    :param row_id: the id of the manifest row; the result contains it as `row_id`. Templated.
    :param row: the row of the manifest that has the id, as `mapping.read_manifest` returned it: for mapping over rows.
    :param deferrable: wait in the triggerer, without a worker. Default: Airflow's `[operators] default_deferrable`.
    :param end_from_trigger: with `deferrable`: after a success, the triggerer saves the videos and ends the task, without a
        second start of a worker, unless the task needs one (see the docs). Default: a worker ends it.

    `mode`, `poke_interval` (default 10 s), `timeout`, `soft_fail` and the others work as for every sensor. A failed
    task fails the sensor without a retry. The sensor waits out faults of the API that may pass, until the timeout.
    """

    template_fields: Sequence[str] = ("kling_task_id", "save_to", "kling_conn_id", "row_id")
    row_fields = ("row_id",)
    ui_color = "#d9f2e6"
    ui_fgcolor = "#0b3d2e"
    operator_extra_links = (KlingVideoLink(),)

    def __init__(
        self,
        *,
        kling_task_id: str,
        save_to: str | None = None,
        kling_conn_id: str | Sequence[str] = "kling_default",
        row_id: str | None = None,
        row: Mapping[str, Any] | None = None,
        poke_interval: float | timedelta = 10.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        end_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.kling_task_id = kling_task_id
        self.save_to = save_to
        self.kling_conn_id = kling_conn_id
        self.row_id = row_id
        self.deferrable = deferrable
        self.end_from_trigger = end_from_trigger
        self.video_url = ""  # for KlingVideoLink
        self.take_row(row)

    def execute(self, context: Context) -> Any:
        self.use_row(context)
        if not self.deferrable:
            with self._with_task_id():
                return super().execute(context)
        if earlier_attempt(context):  # the task may be done by now
            with self._soft_fail():
                poked = self.poke(context)
                if isinstance(poked, PokeReturnValue):
                    return poked.xcom_value
        return self._defer(context)

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Query the task once. A fault of the API that may pass counts as "not done yet"."""
        from airflow_provider_kling.client import flows
        from airflow_provider_kling.errors import KlingError

        with recording_failures(context, row_id=self.row_id, sensor=True) as record, contextlib.ExitStack() as opened:
            self._check_id()
            try:
                hook = opened.enter_context(self._hook())
                task = hook.run(flows.look_up(hook.product, self.kling_task_id))
            except KlingError as error:
                if not error.retryable:
                    raise
                self.log.warning("Kling cannot be asked at the moment: %s The task goes on; asking again.", error)
                return False
            record.task = task
            self.log.info("%s", flows.describe(task))
            if not task.done:
                return False
            return PokeReturnValue(is_done=True, xcom_value=self._finish(hook, task))

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Called after the trigger has fired."""
        self.use_row(context)
        with recording_failures(context, row_id=self.row_id, sensor=True) as record:
            record.task = task = task_of(event)
            with self._hook(event) as hook:
                return self._finish(hook, task)

    def on_kill(self) -> None:
        self.log.info("Stopped waiting. Kling has no cancel: task %s goes on there and will be charged.", self.kling_task_id)

    def _defer(self, context: Context) -> NoReturn:
        from airflow_provider_kling.triggers import KlingTaskTrigger, defer

        timeout = seconds(self.timeout, "timeout")
        with recording_failures(context, row_id=self.row_id, sensor=True):
            self._check_id()
            with self._hook() as hook:
                kling_conn_id = hook.kling_conn_id
        defer(
            self,
            KlingTaskTrigger,
            kling_conn_id=kling_conn_id,
            deadline=time.time() + timeout,
            poll_interval=seconds(self.poke_interval, "poke_interval"),
            kling_task_id=self.kling_task_id,
        )

    def _finish(self, hook: KlingHook, task: Task) -> dict[str, Any]:
        result = finish(hook, task, save_to=self.save_to, row_id=self.row_id)
        self.video_url = result["videos"][0]["url"]
        return result

    def _check_id(self) -> None:
        """KlingInputError where a template found no id: the task that was to return it has returned nothing."""
        from airflow_provider_kling.errors import KlingInputError

        if self.kling_task_id in (None, "", "None"):
            raise KlingInputError(
                f"kling_task_id is {self.kling_task_id!r}: the task before left no id. Was it marked as success by hand, or "
                "is do_xcom_push off? Clear it, then this task."
            )

    def _hook(self, event: Any = None) -> KlingHook:
        """The account that has the task."""
        from airflow_provider_kling.hooks import hook_of

        return hook_of(self.kling_task_id, self.kling_conn_id, event)

    @contextlib.contextmanager
    def _with_task_id(self) -> Iterator[None]:
        """Add to a time-out error that the task continues, and its id."""
        note = f"Kling task {self.kling_task_id} goes on and will be charged; run this again to adopt its result."
        try:
            yield
        except AirflowSensorTimeout as error:
            raise AirflowSensorTimeout(f"{error} {note}") from error

    @contextlib.contextmanager
    def _soft_fail(self) -> Iterator[None]:
        """With `soft_fail`, skip instead of failing, as BaseSensorOperator does in the other modes."""
        try:
            yield
        except AirflowSkipException:
            raise
        except AirflowException as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"Skipped: {error}") from error
            raise
