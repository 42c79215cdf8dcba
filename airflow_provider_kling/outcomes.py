"""How work at Kling ends inside Airflow: a done task becomes a result, an error becomes the exception that fits.

Operator and sensor, waiting on a worker or deferred, all end here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

from airflow_provider_kling.errors import (
    KlingAnswerError,
    KlingApiError,
    KlingCappedError,
    KlingError,
    KlingInputError,
    KlingManifestError,
    KlingSettingsError,
    KlingTaskFailed,
    KlingTimeoutError,
)
from airflow_provider_kling.retry_policy import has_own_policy, worth_a_retry
from airflow_provider_kling.row_metrics import account_tag, count_end, is_last_try, row_scene_of

try:  # since Airflow 3.2
    from airflow.sdk.exceptions import AirflowRescheduleException
except ImportError:
    from airflow.exceptions import AirflowRescheduleException  # type: ignore[no-redef,assignment,unused-ignore]

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.api import Task
    from airflow_provider_kling.hooks import KlingHook
    from airflow_provider_kling.naming import SaveAs

__all__ = [
    "AirflowRescheduleException",
    "FailureRecord",
    "count_timeout",
    "error_event",
    "finish",
    "first_start",
    "push_task_ids",
    "recording_failures",
    "task_ids",
    "task_of",
]


def finish(
    hook: KlingHook,
    task: Task,
    *,
    save_to: str | None = None,
    save_as: SaveAs | None = None,
    effect_scene: str | None = None,
    row_id: str | None = None,
    record: FailureRecord | None = None,
) -> dict[str, Any]:
    """The result of a done task, with its videos saved under `save_to`; KlingTaskFailed for a failed one.

    With the `record` of the row, the metrics count its end.
    """
    from airflow_provider_kling import hooks, naming, results

    if record is not None:
        record.account = hook.kling_conn_id
    if task.succeeded and not task.videos:  # a list, where a trigger may have seen it, can leave out what a query brings
        task = hook.get_task(task.kling_task_id)
    save_as = save_as or naming.SaveAs()
    files = hooks.save_files(hook, task, save_to, save_as) if save_to and task.succeeded else None
    result = results.saved_result(task, files, effect_scene=effect_scene, row_id=row_id)
    if files and save_as.sidecar:
        results.write_sidecars(result)
    if record is not None:
        record.result = result
    if record is not None and not record.counted:
        scene = effect_scene or record.row_scene
        count_end(hooks.AirflowSink(), status=result["status"], conn_id=hook.kling_conn_id, scene=scene, task=task)
    return result


def task_of(event: Any) -> Task:
    """The task in a trigger's event. Raises the error that stands in it, and KlingAnswerError for anything else."""
    from airflow_provider_kling.api import Task, shorten

    match event:
        case {"task": data}:
            return Task.from_json(data)
        case {"timeout": str(message)}:
            raise KlingTimeoutError(message)
        case {"error": str(), "retryable": bool(), "invalid": bool()}:
            raise _error_of(event)
        case _:
            found = shorten(list(event)) if isinstance(event, dict) else type(event).__name__
            raise KlingAnswerError(f"The trigger ended with an event that this version does not know: {found}.")


def error_event(error: KlingError) -> dict[str, Any]:
    """An error as a trigger's event, from which `task_of` raises it again: with its class, `code` and other attributes.

    Workers of an older version read only `error`, `retryable` and `invalid`.
    """
    fields = {name: value for name, value in vars(error).items() if name in _CARRIED and isinstance(value, _CARRIED[name])}
    invalid = error.row_status == KlingInputError.row_status
    return {
        "error": str(error),
        "retryable": error.retryable,
        "invalid": invalid,
        "class": type(error).__name__,
        "fields": fields,
    }


# The attributes of errors that an event carries, and their types; and those that it does not, which are of no use after
# the wait. An attribute is there all the same, for who reads it.
_CARRIED: dict[str, type] = {
    **dict.fromkeys(["code", "http_status", "refused_image"], int),
    **dict.fromkeys(["message", "request_id", "advice", "kling_task_id", "name", "kind"], str),
    **dict.fromkeys(["retryable", "outcome_unknown", "needs_new_try", "input_fault", "sent", "expired", "not_found"], bool),
}
_MISSING: dict[type[KlingError], dict[str, Any]] = {
    KlingApiError: dict.fromkeys(["server_time", "retry_after", "code", "http_status", "request_id"]),
    KlingAnswerError: {"http_status": None},
    KlingManifestError: {"name": "", "problems": ()},
}


def _error_of(event: dict[str, Any]) -> KlingError:
    """The error in an event. A class that this version does not know becomes KlingError or KlingInputError."""
    classes = {cls.__name__: cls for cls in _error_classes(KlingError)}
    fallback = KlingInputError if event["invalid"] else KlingError
    found = event.get("class")
    cls = classes.get(found, fallback) if isinstance(found, str) else fallback
    error = cls.__new__(cls, event["error"])
    error.args = (event["error"],)
    carried = event.get("fields")
    for parent, fields in _MISSING.items():
        if issubclass(cls, parent):
            error.__dict__.update(fields)
    for name, value in carried.items() if isinstance(carried, dict) else ():
        if name in _CARRIED and isinstance(value, _CARRIED[name]):
            setattr(error, name, value)
    error.retryable = event["retryable"]
    return error


def _error_classes(parent: type[KlingError]) -> Iterator[type[KlingError]]:
    yield parent
    for child in parent.__subclasses__():
        if child.__module__ == KlingError.__module__:
            yield from _error_classes(child)


class FailureRecord:
    """What is known of a row while it is worked on: its task, as soon as there is one, and the scene of its request or task.

    `result` is there once the task is done. `account` is its connection, or the connections that share the load while it is
    not known which; `counted` tells whether an earlier run has counted its end in the metrics. Without an `account` nothing
    is counted. `row_scene` is the scene of its row in a manifest: enough for a tag, not for a result.
    """

    def __init__(self, *, effect_scene: str | None = None, account: Any = None) -> None:
        self.task: Task | None = None
        self.effect_scene = effect_scene
        self.account = account
        self.counted = False
        self.result: dict[str, Any] | None = None
        self.row_scene: str | None = None

    def count(self, context: Context, error: KlingError, *, final: bool) -> None:
        """Count the end in the metrics, where this error is the end: no other try follows, or the task has failed."""
        from airflow_provider_kling.api import error_kind
        from airflow_provider_kling.hooks import AirflowSink

        failed = isinstance(error, KlingTaskFailed)
        if self.account is None or self.counted or not (final or failed or is_last_try(context)):
            return
        conn_id, scene = account_tag(self.account), self.effect_scene or self.row_scene
        tags: dict[str, Any] = {"conn_id": conn_id, "scene": scene, "error_kind": error_kind(error)}
        count_end(AirflowSink(), status=error.row_status, task=self.task, **tags)


@contextlib.contextmanager
def recording_failures(
    context: Context, *, row_id: str | None, effect_scene: str | None = None, sensor: bool = False, account: Any = None
) -> Iterator[FailureRecord]:
    """Record what became of the row (XCom `failed_result`) before a KlingError goes on as Airflow expects it.

    An error that cannot pass by itself becomes AirflowFailException, so that no retry is spent on it. A sensor's time-out
    becomes AirflowSensorTimeout, and a cap AirflowSkipException, unless the author wishes it to fail. All have the KlingError as
    their `__cause__`, which callbacks can read. Any other error stays as it is, and Airflow's retries apply. With a retry policy
    of the DAG's author, what would fail stays as it is, too: Airflow asks no policy about an AirflowFailException.
    """
    record = FailureRecord(effect_scene=effect_scene, account=account)
    operator: Any = context.get("task")
    if operator is not None:
        operator.row_record = record  # for `lineage`, which is asked after the end
        record.row_scene = row_scene_of(operator)
    try:
        yield record
    except KlingError as error:
        from airflow_provider_kling.results import FAILED_RESULT, error_result

        if record.task is not None and isinstance(error, KlingSettingsError) and error.not_found:
            error.needs_new_try = True  # it was there when the task was created
        failed = error_result(error, row_id=row_id, task=record.task, effect_scene=record.effect_scene)
        context["ti"].xcom_push(key=FAILED_RESULT, value=failed)
        timed_out = sensor and isinstance(error, KlingTimeoutError)
        skipped = isinstance(error, KlingCappedError) and not getattr(operator, "fail_if_capped", False)
        goes_on = has_own_policy(operator) or worth_a_retry(error, sensor=sensor)
        record.count(context, error, final=timed_out or skipped or not goes_on)
        if timed_out:
            raise AirflowSensorTimeout(str(error)) from error
        if skipped:
            raise AirflowSkipException(str(error)) from error
        if goes_on:
            raise
        if isinstance(error, KlingInputError):  # where in this package it was noticed says nothing to the author of a DAG
            error.__traceback__ = None
        raise AirflowFailException(str(error)) from error


def count_timeout(account: Any, effect_scene: str | None) -> None:
    """Count a request whose wait Airflow itself has ended."""
    from airflow_provider_kling.hooks import AirflowSink

    tags: dict[str, Any] = {"conn_id": account_tag(account), "scene": effect_scene, "error_kind": "timeout"}
    count_end(AirflowSink(), status=KlingError.row_status, task=None, **tags)


def first_start(context: Context, now: datetime) -> datetime:
    """When this try began, reschedules included."""
    if context.get("task_reschedule_count", 0):
        return context["ti"].get_first_reschedule_date(context) or now
    return now


def task_ids(task: Task, *, row_id: str | None, effect_scene: str | None) -> dict[str, Any]:
    """The ids of a task that exists now: the XCom `kling_task`, from which it can be found again.

    `effect_scene` is the scene that the task was made with, if that is known.
    """
    return {
        "row_id": row_id,
        "kling_task_id": task.kling_task_id,
        "external_task_id": task.external_task_id,
        "effect_scene": effect_scene,
    }


def push_task_ids(context: Context, task: Task, *, row_id: str | None, effect_scene: str | None) -> None:
    """Push the XCom `kling_task`."""
    from airflow_provider_kling.results import CREATED_TASK

    context["ti"].xcom_push(key=CREATED_TASK, value=task_ids(task, row_id=row_id, effect_scene=effect_scene))
