"""KlingTaskSensor: waits until a Kling task is done."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_kling import naming
from airflow_provider_kling.arguments import check_rendered_value, check_text
from airflow_provider_kling.client import seconds
from airflow_provider_kling.instances import earlier_attempt
from airflow_provider_kling.lineage import TaskLineage
from airflow_provider_kling.links import KlingVideoLink
from airflow_provider_kling.operator_base import DEFAULT_TIMEOUT, KlingOperator
from airflow_provider_kling.outcomes import (
    FailureRecord,
    count_timeout,
    recording_failures,
    task_of,
)
from airflow_provider_kling.retry_policy import use_default_policy
from airflow_provider_kling.row_metrics import row_scene_of, was_cleared
from airflow_provider_kling.saving import check_saving, save_as_of
from airflow_provider_kling.sensors.inputs import AwaitedId, check_written, read_input, row_id_of
from airflow_provider_kling.sensors.skipping import skipping

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.arguments import Later, Place
    from airflow_provider_kling.hooks import KlingHook


class KlingTaskSensor(TaskLineage, KlingOperator, BaseSensorOperator):
    """Waits until a Kling task is done. Its XCom is the result (plain JSON, see the docs).

    :param kling_task_id: the Kling task id, the external id, or what an operator left: its result, or its XCom `kling_task`.
        For several tasks, map the sensor: `expand(kling_task_id=…)`. Templated.
    :param save_to: a folder or URI for the videos. An existing file is not downloaded again. Templated.
    :param file_name: how videos are named, like `{date}/{row_id}-{effect_scene}-{kling_task_id}.mp4`; see the docs.
    :param watermark: save the version with a watermark, too.
    :param sidecar: save the result as JSON beside each video.
    :param kling_conn_id: the connection of the account that has the task. If that may be one of several accounts: a list of
        their connections, or a text with commas. Templated.
    :param row_id: the id of the manifest row; the result contains it as `row_id`. Templated.
    :param row: the row of the manifest that has the id, as `mapping.read_manifest` returned it: for mapping over rows.
    :param deferrable: wait in the triggerer, without a worker. Default: Airflow's `[operators] default_deferrable`.
    :param end_from_trigger: with `deferrable`: after a success, the triggerer saves the videos and ends the task, without a
        second start of a worker. "auto", the default, and True leave the task to a worker if it needs one (see the docs);
        False always does.
    :param timeout: seconds, or a timedelta, for the whole wait. Default: 24 hours, as for the operator.

    `mode`, `poke_interval` (default 10 s), `soft_fail`, `never_fail` and the others work as for every sensor, and mean the
    same in all modes. A failed task fails the sensor without a retry. The sensor waits out faults of the API that may pass,
    until the timeout.

    Raises AirflowSensorTimeout at the timeout, and AirflowFailException, with the KlingError as its `__cause__`, for what no retry
    can mend: a failed task, no task with this id, refused credentials. A KlingDownloadError or KlingStorageError that may pass is
    raised as it is.
    """

    __supports_durable_execution: ClassVar[bool] = True  # as Airflow's registry reads it, from this very name

    template_fields: Sequence[str] = ("kling_task_id", "save_to", "kling_conn_id", "row_id")
    row_fields = ("row_id",)
    place_fields = ("save_to",)
    ui_color = "#d9f2e6"
    ui_fgcolor = "#0b3d2e"
    operator_extra_links = (KlingVideoLink(),)

    def __init__(
        self,
        *,
        kling_task_id: str | Mapping[str, Any] | Later,
        save_to: Place | Later | None = None,
        file_name: str | None = None,
        watermark: bool = False,
        sidecar: bool = False,
        kling_conn_id: str | Sequence[str] | Later = "kling_default",
        row_id: str | Later | None = None,
        row: Mapping[str, Any] | Later | None = None,
        poke_interval: float | timedelta = 10.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        end_from_trigger: bool | Literal["auto"] = "auto",
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        use_default_policy(self)
        self.kling_task_id: Any = kling_task_id
        self.save_to: Any = save_to
        self.file_name, self.watermark, self.sidecar = file_name, watermark, sidecar
        self.save_as = naming.SaveAs()
        self.kling_conn_id: Any = kling_conn_id
        self.row_id: Any = row_id
        self.deferrable = deferrable
        self.take_end_from_trigger(end_from_trigger, deferrable=deferrable)
        self.video_url = ""  # for KlingVideoLink
        self.take_row(row)
        self._unknown = self.unknown_fields()
        self._save_to_checked = False
        self._first_poke = True
        if not self.is_unmapped:  # then the values are checked when the sensor runs
            check_written(kling_task_id)
            check_saving(vars(self), columns=() if row is None else None)
            seconds(self.poke_interval, "poke_interval")

    def execute(self, context: Context) -> Any:
        self.use_row(context)
        self._use_row_id()
        with skipping(self):
            if not self.deferrable:
                with self._with_task_id():
                    return super().execute(context)
            if earlier_attempt(context):  # the task may be done by now
                poked = self.poke(context)
                if isinstance(poked, PokeReturnValue):
                    return poked.xcom_value
            return self._defer(context)

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Query the task once. A fault of the API that may pass counts as "not done yet"."""
        from airflow_provider_kling.client import flows
        from airflow_provider_kling.errors import KlingError

        with (
            skipping(self),
            recording_failures(context, row_id=self.row_id, sensor=True, account=self.kling_conn_id) as record,
            contextlib.ExitStack() as opened,
        ):
            awaited = self._read_input(record, context)
            try:
                hook = opened.enter_context(self._hook(awaited))
                task = hook.run(flows.look_up(hook.product, awaited.kling_task_id))
            except KlingError as error:
                if not error.retryable:
                    raise
                where = self.kling_conn_id if isinstance(self.kling_conn_id, str) else ", ".join(self.kling_conn_id)
                text = "Connection %s: Kling cannot be asked at the moment: %s The task is not cancelled; asking again."
                self.log.warning(text, where, error)
                return False
            record.task, record.account = task, hook.kling_conn_id
            record.counted = was_cleared(context) and self._first_poke
            self.log.info("%s", flows.describe(task))
            self._first_poke = False
            if not task.done:
                return False
            from airflow_provider_kling.task_end import end  # only once it is done

            return PokeReturnValue(is_done=True, xcom_value=end(self, context, hook, task, record))

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Called after the trigger has fired."""
        from airflow_provider_kling.hooks import hook_of
        from airflow_provider_kling.task_end import end

        self.use_row(context)
        self._use_row_id()
        with skipping(self), recording_failures(context, row_id=self.row_id, sensor=True, account=self.kling_conn_id) as record:
            record.effect_scene = event.get("effect_scene") if isinstance(event, dict) else None
            record.task = task = task_of(event)
            self.save_as = save_as_of(vars(self), context, effect_scene=record.effect_scene)
            with hook_of(task.kling_task_id, self.kling_conn_id, event) as hook:
                return end(self, context, hook, task, record)

    def on_kill(self) -> None:
        self.log.info("Stopped waiting. Kling has no cancel: task %s goes on there and will be charged.", self._shown_id())

    def _defer(self, context: Context) -> NoReturn:
        from airflow_provider_kling.triggers import KlingTaskTrigger, defer

        with recording_failures(context, row_id=self.row_id, sensor=True, account=self.kling_conn_id) as record:
            awaited = self._read_input(record, context)
            with self._hook(awaited) as hook:
                defer(
                    self,
                    KlingTaskTrigger,
                    hook=hook,
                    deadline=time.time() + seconds(self.timeout, "timeout"),
                    poll_interval=seconds(self.poke_interval, "poke_interval"),
                    kling_task_id=awaited.kling_task_id,
                    effect_scene=awaited.effect_scene,
                )

    def _read_input(self, record: FailureRecord, context: Context) -> AwaitedId:
        """The id of the task, and what else the input tells. Raises KlingInputError if there is no id, or an argument is lost."""
        for name in {"kling_conn_id", "row_id"} & self._unknown:
            check_rendered_value(name, getattr(self, name))
        awaited = read_input(self.kling_task_id)
        record.effect_scene = awaited.effect_scene
        self._check_save_to()
        self.save_as = save_as_of(vars(self), context, effect_scene=awaited.effect_scene)
        return awaited

    def _check_save_to(self) -> None:
        """Raise an error if videos cannot be saved there, before anything waits."""
        from airflow_provider_kling.writable import check_writable

        if self.save_to is not None and not self._save_to_checked:
            rendered = "save_to" in self._unknown
            check_text("save_to", self.save_to, wanted="a folder or URI", operator="KlingTaskSensor", rendered=rendered)
            check_writable(self.save_to, "save_to")
            self._save_to_checked = True

    def _hook(self, awaited: AwaitedId) -> KlingHook:
        """The account that has the task."""
        from airflow_provider_kling.hooks import hook_of

        return hook_of(awaited.kling_task_id, self.kling_conn_id)

    def _use_row_id(self) -> None:
        """Take the row id from a dict that an operator has left. Not before templates are rendered: it is data."""
        if self.row_id is None and "row_id" not in self._unknown:
            self.row_id = row_id_of(self.kling_task_id)

    def _shown_id(self) -> Any:
        given = self.kling_task_id
        return given.get("kling_task_id") if isinstance(given, Mapping) else given

    @contextlib.contextmanager
    def _with_task_id(self) -> Iterator[None]:
        """Add to a time-out error that the task continues, and its id."""
        note = f"Kling task {self._shown_id()} goes on and will be charged; run this again to adopt its result."
        try:
            yield
        except AirflowSensorTimeout as error:
            count_timeout(self.kling_conn_id, read_input(self.kling_task_id).effect_scene or row_scene_of(self))
            raise AirflowSensorTimeout(f"{error} {note}") from error
