"""`kling_effect`, as `@task.kling_effect` finds it, with types for editors and type checkers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from airflow.providers.common.compat.sdk import task_decorator_factory

from airflow_provider_kling.decorators.operator import KlingEffectDecoratedOperator

if TYPE_CHECKING:
    from airflow.sdk.bases.decorator import FParams, Task

    from airflow_provider_kling.arguments import Later, Place

Request: TypeAlias = Mapping[str, Any]
"""`effect_scene`, `image` or `images`; if wished `row_id`, `columns`, `external_task_id`, `callback_url`, `fresh` and `save_to`."""

if TYPE_CHECKING:
    Returned: TypeAlias = Request | Sequence[Request]


@overload
def kling_effect(python_callable: Callable[FParams, Returned]) -> Task[FParams, Returned]: ...


@overload
def kling_effect(
    *,
    effect_scene: str | Later | None = ...,
    image: Place | Later | None = ...,
    images: Sequence[Place | Later] | Later | None = ...,
    external_task_id: str | Later | None = ...,
    callback_url: str | Later | None = ...,
    kling_conn_id: str | Sequence[str] | Later = ...,
    wait_for_completion: bool = ...,
    save_to: Place | Later | None = ...,
    file_name: str | None = ...,
    watermark: bool = ...,
    sidecar: bool = ...,
    poll_interval: float | timedelta = ...,
    timeout: float | timedelta = ...,
    row_id: str | Later | None = ...,
    fresh: str | Later | None = ...,
    max_videos: int | str | Later | None = ...,
    max_units: float | str | Later | None = ...,
    fail_if_capped: bool = ...,
    strict: bool = ...,
    deferrable: bool = ...,
    end_from_trigger: bool | Literal["auto"] = ...,
    results: Place | Later | None = ...,
    max_failures: int | float | str | Later | None = ...,
    max_concurrency: int | None = ...,
    multiple_outputs: bool = ...,
    task_id: str = ...,
    **kwargs: Any,
) -> Callable[[Callable[FParams, Returned]], Task[FParams, Returned]]: ...


def kling_effect(python_callable: Callable[..., Any] | None = None, *, multiple_outputs: bool = False, **kwargs: Any) -> Any:
    """Make a task of a function that returns a request, or a list of them; the task returns the result, or the list of results.

    `@task.kling_effect` is the same, found by Airflow; imported from here, editors and type checkers know its options. These are
    the parameters of KlingEffectOperator, for what a request leaves out, and `results`, `max_failures` and `max_concurrency` for a
    list; see KlingEffectDecoratedOperator. `multiple_outputs` is False, whatever the function's annotation says: that is the type
    of the request.
    """
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=multiple_outputs,
        decorated_operator_class=KlingEffectDecoratedOperator,
        **kwargs,
    )
