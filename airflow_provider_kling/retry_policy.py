"""Which errors another try of an Airflow task may mend, as Airflow's retry policy and for the operators themselves.

There is one rule, the error's own `may_pass`. Operators raise what cannot pass as AirflowFailException, which every version of
Airflow knows and for which no policy is asked; the policy says the same of an error that reaches it.

May import `errors`, `api` and Airflow.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.errors import KlingError, KlingTaskFailed

try:
    from airflow.sdk import RetryAction, RetryDecision, RetryPolicy
except ImportError:  # before Airflow 3.3
    HAS_POLICIES = False
else:
    HAS_POLICIES = True

if TYPE_CHECKING:
    from airflow.sdk import Context

FULL_PAUSE = timedelta(minutes=1)  # before an account that was full is asked again
FULL_TIMEOUT = timedelta(hours=24)  # as that of the operators


def worth_a_retry(error: KlingError, *, sensor: bool = False) -> bool:
    """Whether one of Airflow's retries may help. After a failed task, only an operator can ask for another one."""
    return error.may_pass and not (sensor and isinstance(error, KlingTaskFailed))


def has_own_policy(operator: Any) -> bool:
    """Whether the author of a DAG has given this operator a retry policy, which then decides on all errors."""
    policy = getattr(operator, "retry_policy", None)
    return policy is not None and not (HAS_POLICIES and type(policy) is KlingRetryPolicy)


def use_default_policy(operator: Any) -> None:
    """Give the operator a KlingRetryPolicy, unless its author or the DAG's `default_args` gave one. Before Airflow 3.3: nothing."""
    if HAS_POLICIES and getattr(operator, "retry_policy", None) is None:
        operator.retry_policy = KlingRetryPolicy()


if TYPE_CHECKING or HAS_POLICIES:

    class KlingRetryPolicy(RetryPolicy):
        """Retries errors that may pass by themselves, and fails at once for the others, so that no retry is spent on them.

        The default of this package's operators and sensors, and for your own tasks with KlingHook:
        `@task(retries=3, retry_policy=KlingRetryPolicy())`. Needs Airflow 3.3. A KlingError may be the error itself, or its cause
        (`raise … from error`); any other error goes Airflow's usual way. The number of retries and their delay stay those of the
        task. From Airflow 3.4 on, an account without a free slot uses no retry: the task runs again after a minute, for up to
        a day.
        """

        def evaluate(
            self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
        ) -> RetryDecision:
            from airflow_provider_kling.api import error_kind, kling_error_of

            error = kling_error_of(exception)
            if error is None:
                return RetryDecision.default()
            kind = error_kind(error)
            if not worth_a_retry(error):
                return RetryDecision.fail(f"{kind}: another try would end in the same way")
            if kind == "busy" and hasattr(RetryAction, "RESCHEDULE"):  # since Airflow 3.4
                bounds = {"reschedule_timeout": FULL_TIMEOUT, "reason": f"{kind}: waiting for a slot"}
                return getattr(RetryDecision, "reschedule")(FULL_PAUSE, **bounds)  # type: ignore[no-any-return]  # noqa: B009
            return RetryDecision.retry(reason=f"{kind}: it may pass by itself")

        def serialize(self) -> dict[str, Any]:
            return {"__type": f"{__name__}.{type(self).__qualname__}"}

        @classmethod
        def deserialize(cls, data: dict[str, Any]) -> KlingRetryPolicy:
            return cls()


def __getattr__(name: str) -> Any:
    if name == "KlingRetryPolicy":
        raise ImportError("KlingRetryPolicy needs Airflow 3.3: earlier versions have no retry policies.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
