"""KlingRetryPolicy through Airflow's real task runner: what it retries, what it fails at once, and who wins."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG, task
from task_runs import FakeAirflow, httpx

from airflow_provider_kling.api import ERROR_KINDS, EffectRequest, error_kind, task_failure
from airflow_provider_kling.errors import (
    KlingAnswerError,
    KlingBusyError,
    KlingError,
    KlingInputError,
    KlingSettingsError,
    KlingStorageError,
    KlingTimeoutError,
    may_still_come,
)
from airflow_provider_kling.get_provider_info import get_provider_info
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor

sdk = pytest.importorskip("airflow.sdk")
if not hasattr(sdk, "RetryPolicy"):
    pytest.skip("Retry policies came with Airflow 3.3.", allow_module_level=True)

from airflow.sdk import RetryAction, RetryDecision, RetryPolicy  # noqa: E402

from airflow_provider_kling.retry_policy import FULL_PAUSE, FULL_TIMEOUT, KlingRetryPolicy  # noqa: E402

IMAGE = "https://example.com/a.jpg"
RESCHEDULES = hasattr(RetryAction, "RESCHEDULE")  # since Airflow 3.4


class Always(RetryPolicy):
    """An author's own policy. Remembers what it was asked about."""

    def __init__(self) -> None:
        self.asked: list[BaseException] = []

    def evaluate(self, exception: BaseException, *arguments: Any, **options: Any) -> RetryDecision:
        self.asked.append(exception)
        return RetryDecision.retry(reason="the author wishes it")


def video(**options: Any) -> KlingEffectOperator:
    with DAG("d", schedule=None, default_args=options.pop("default_args", {})):
        return KlingEffectOperator(**{"task_id": "v", "effect_scene": "squish", "image": IMAGE, "retries": 3, **options})


def twice() -> FakeAirflow:
    return FakeAirflow(max_tries=3)


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (KlingAnswerError("Cut off."), RetryAction.RETRY),
        (KlingTimeoutError("Late."), RetryAction.RETRY),
        (KlingStorageError("Full."), RetryAction.RETRY),
        (task_failure("1", "Internal error"), RetryAction.RETRY),
        (may_still_come("There is no a.jpg."), RetryAction.RETRY),
        (task_failure("1", "Failure to pass the risk control system"), RetryAction.FAIL),
        (KlingInputError("No."), RetryAction.FAIL),
        (KlingSettingsError("No."), RetryAction.FAIL),
        (ValueError("another's"), RetryAction.DEFAULT),
    ],
)
def test_what_can_pass_is_retried_and_the_reason_is_the_kind(error: Exception, action: RetryAction) -> None:
    decision = KlingRetryPolicy().evaluate(error, 1, 3)
    assert decision.action == action
    if action != RetryAction.DEFAULT:
        assert str(decision.reason).split(":")[0] == error_kind(error)
        assert error_kind(error) in ERROR_KINDS
        wrapped = RuntimeError("mine")
        wrapped.__cause__ = error
        assert KlingRetryPolicy().evaluate(wrapped, 1, 3).action == action


def test_a_full_account_uses_no_retry_where_airflow_can_reschedule() -> None:
    decision = KlingRetryPolicy().evaluate(KlingBusyError("parallel task over resource pack limit", code=1302), 1, 3)
    if RESCHEDULES:
        assert decision.action == RetryAction.RESCHEDULE
        assert decision.reschedule_timeout
    else:
        assert decision.action == RetryAction.RETRY


def test_it_is_the_default_of_operators_and_sensors() -> None:
    with DAG("d", schedule=None):
        batch = KlingEffectBatchOperator(task_id="b", manifest="m.csv", results="out")
        sensor = KlingTaskSensor(task_id="s", kling_task_id="1")
    for operator in (video(), batch, sensor):
        assert type(operator.retry_policy) is KlingRetryPolicy
    own = Always()
    assert video(retry_policy=own).retry_policy is own
    assert video(default_args={"retry_policy": own}).retry_policy is own


def test_an_operator_fails_at_once_for_what_cannot_pass_and_is_retried_for_the_rest(kling) -> None:
    kling.configure(moderated_scene=["squish"])
    run = twice().finish(video())
    assert (run.state, type(run.error)) == ("failed", AirflowFailException)
    assert isinstance(run.error.__cause__, KlingError)
    kling.configure(moderated_scene=[])
    assert twice().finish(video(wait_for_completion=True, timeout=0.01)).state == "up_for_retry"


def test_the_policy_of_the_author_is_asked_about_every_error(kling) -> None:
    kling.configure(moderated_scene=["squish"])
    own = Always()
    run = twice().finish(video(retry_policy=own))
    assert run.state == "up_for_retry"
    (asked,) = own.asked
    assert error_kind(asked) == "moderation"


def test_soft_fail_skips_with_a_policy_of_the_author_too(kling) -> None:
    with DAG("d", schedule=None):
        sensor = KlingTaskSensor(task_id="s", kling_task_id="no-such-task", soft_fail=True, retry_policy=Always(), retries=3)
    assert twice().finish(sensor).state == "skipped"


def test_a_cap_skips_with_a_policy_of_the_author_too(kling) -> None:
    policy = Always()
    assert twice().finish(video(retry_policy=policy, max_videos=0)).state == "skipped"
    assert not policy.asked


def own_task() -> Any:
    """A task of an author's own, with the hook and the policy."""

    @task(retries=3, retry_policy=KlingRetryPolicy())
    def make() -> None:
        KlingHook().create_task(EffectRequest("squish", [IMAGE]))

    with DAG("d", schedule=None):
        made = make()
    return made.operator


def test_a_task_of_ones_own_with_the_hook(kling) -> None:
    kling.configure(moderated_scene=["squish"])
    assert twice().finish(own_task()).state == "failed"
    kling.configure(moderated_scene=[])
    kling.fault(1302, on="create", times=None)
    assert twice().finish(own_task()).state == ("up_for_reschedule" if RESCHEDULES else "up_for_retry")


@dataclass
class Rescheduled(FakeAirflow):
    """A task instance whose try was rescheduled first at this time."""

    first: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def _respond(self, request: Any) -> Any:
        if request.url.path.startswith("/task-reschedules/"):
            return httpx.Response(200, json=self.first.isoformat())
        return super()._respond(request)


@pytest.mark.skipif(not RESCHEDULES, reason="Rescheduling by a policy came with Airflow 3.4.")
def test_a_full_account_runs_the_task_again_after_a_minute_in_the_same_try(kling) -> None:
    kling.fault(1302, on="create", times=None)
    before = datetime.now(timezone.utc)
    for reschedules in range(2):
        run = Rescheduled(max_tries=3, reschedules=reschedules).finish(own_task())
        assert run.state == "up_for_reschedule"
        assert datetime.fromisoformat(run.patch["reschedule_date"].replace("Z", "+00:00")) - before >= FULL_PAUSE
    kling.clear_faults()
    assert Rescheduled(max_tries=3, reschedules=2).finish(own_task()).state == "success"
    assert len(kling.ledger) == 1


@pytest.mark.skipif(not RESCHEDULES, reason="Rescheduling by a policy came with Airflow 3.4.")
def test_an_account_that_is_full_for_a_day_uses_retries(kling) -> None:
    kling.fault(1302, on="create", times=None)
    first = datetime.now(timezone.utc) - FULL_TIMEOUT
    assert Rescheduled(max_tries=3, reschedules=99, first=first).finish(own_task()).state == "up_for_retry"


def test_the_metadata_names_it() -> None:
    assert get_provider_info()["retry-policies"][0]["python-modules"] == ["airflow_provider_kling.retry_policy"]
