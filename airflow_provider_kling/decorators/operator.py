"""The operator behind `@task.kling_effect`: KlingEffectOperator, with the request that a function returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import DecoratedOperator, determine_kwargs

from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.links import KlingReportLink, KlingResultsLink, KlingVideoLink
from airflow_provider_kling.operator_base import written_keys
from airflow_provider_kling.operators import KlingEffectOperator
from airflow_provider_kling.outcomes import recording_failures

if TYPE_CHECKING:
    from airflow.sdk import Context
    from jinja2 import Environment

    from airflow_provider_kling.api import Task
    from airflow_provider_kling.client import Submission
    from airflow_provider_kling.hooks import KlingHook
    from airflow_provider_kling.operators import KlingEffectBatchOperator

REQUEST = "kling_request"  # XCom: what the function returned, for the worker that resumes the task
KEPT = ("effect_scene", "image", "images", "row_id", "save_to")  # of the request, in that XCom; and the row's columns


class KlingEffectDecoratedOperator(DecoratedOperator, KlingEffectOperator):
    """Makes the video of the request that a function returns, or the videos of a list of them.

    The function is called once in each start of the task on a worker, before anything is sent to Kling, and never when the task
    resumes from a deferral. What it returns is data: nothing in it is rendered. An automatic retry in which it returns another
    request takes the task that an earlier try has paid for; after a clear, the new request counts.

    All parameters of KlingEffectOperator, for what the requests leave out; `wait_for_completion` is True unless told. And:

    :param python_callable: the function.
    :param op_args, op_kwargs: its arguments. Templated.
    :param results: for a list of requests: a folder or URI for `results.jsonl` and `report.html`. Templated.
    :param max_failures: so many requests of a list without a video leave the task green. Default: any number. Templated.
    :param max_concurrency: the most tasks of a list at Kling at once.
    """

    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *KlingEffectOperator.template_fields,
        "results",
        "max_failures",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **KlingEffectOperator.template_fields_renderers,
    }
    place_fields: Iterable[str] = (*KlingEffectOperator.place_fields, "results")
    custom_operator_name = "@task.kling_effect"
    overwrite_rtif_after_execution = True  # the rendered fields show the request
    operator_extra_links: Any = (KlingVideoLink(), KlingReportLink(), KlingResultsLink())
    request_follows = True

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        wait_for_completion: bool = True,
        results: Any = None,
        max_failures: Any = None,
        max_concurrency: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.results: Any = results
        self.max_failures: Any = max_failures
        self.max_concurrency = max_concurrency
        self.batch: KlingEffectBatchOperator | None = None  # of a list
        self._earlier_try = False
        _check_function(python_callable)
        if kwargs.get("row") is not None:
            raise KlingInputError("row is given to @task.kling_effect; wanted is a function that returns the row.")
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            wait_for_completion=wait_for_completion,
            **kwargs,
        )

    @property
    def function(self) -> str:
        """The function's name."""
        return str(getattr(self.python_callable, "__name__", self.task_id))

    def show_links(self, shown: bool) -> None:
        wanted = KlingVideoLink if self.batch is None else (KlingReportLink, KlingResultsLink)
        own = [link for link in type(self).operator_extra_links if isinstance(link, wanted)]
        self.operator_extra_links = own if shown else []

    def render_template(
        self, content: Any, context: Context, jinja_env: Environment | None = None, seen_oids: set[int] | None = None
    ) -> Any:
        """As in KlingOperator: what a mapped task gets from an XCom is data, also as an argument of the function."""
        seen_oids = set() if seen_oids is None else seen_oids
        seen_oids.update(map(id, self._arguments_from_outside(context)))
        return super().render_template(content, context, jinja_env, seen_oids)

    def _arguments_from_outside(self, context: Context) -> list[Any]:
        """The arguments of the function that come from an XCom which this task is mapped over."""
        dag = self.get_dag()
        mapped: Any = dag.task_dict.get(self.task_id) if dag else None
        expanded = getattr(mapped, "op_kwargs_expand_input", None)
        if mapped is None or expanded is None:
            return []
        written = mapped.partial_kwargs.get("op_kwargs", {}).keys() | written_keys(expanded, context["ti"].map_index)
        return [value for name, value in self.op_kwargs.items() if name not in written]

    def execute(self, context: Context) -> Any:
        from airflow_provider_kling.decorators import listed
        from airflow_provider_kling.decorators.tries import is_retry

        self._earlier_try = is_retry(context)
        with recording_failures(context, row_id=None, account=self.kling_conn_id):
            asked = self._ask(context)
            if isinstance(asked, list):
                self.batch = listed.batch_of(self, asked, context) if asked else None
            else:
                self._use_request(asked)
        if isinstance(asked, list):
            return listed.make(self, context)
        if self.deferrable:
            context["ti"].xcom_push(key=REQUEST, value=self._kept())
        return super().execute(context)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Called after a trigger has fired. The function is not called again: what it returned is in the XCom `kling_request`."""
        from airflow_provider_kling.decorators import listed

        if isinstance(event, Mapping) and "batch" in event:
            self.batch = listed.batch_again(self, context)
            return listed.complete(self, context, event)
        ti = context["ti"]
        kept = ti.xcom_pull(task_ids=ti.task_id, key=REQUEST, map_indexes=ti.map_index)
        if isinstance(kept, Mapping):
            self._use_request(kept)
        return super().execute_complete(context, event)

    def _ask(self, context: Context) -> dict[str, Any] | list[dict[str, Any]]:
        """Call the function. Its own errors go on as they are."""
        from airflow_provider_kling.decorators.returned import requests_in

        arguments: Any = {**context, **self.op_kwargs}
        kwargs = determine_kwargs(self.python_callable, self.op_args, arguments)
        return requests_in(self.python_callable(*self.op_args, **kwargs), function=self.function)

    def _use_request(self, request: Mapping[str, Any]) -> None:
        """Put the request in the place of the arguments, and the row with its columns in that of `row`."""
        if "image" in request or "images" in request:
            self.image = self.images = None  # those of the decorator
        for name, value in request.items():
            if name != "columns":
                setattr(self, name, value)
        self.take_places()
        columns = request.get("columns")
        self.row = {"row_id": self.row_id, "effect_scene": self.effect_scene, **({"columns": columns} if columns else {})}
        self._row_used = True
        self._hide_inline_images()

    def _kept(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in KEPT}
        return {**{name: value for name, value in kept.items() if value is not None}, "columns": self.row.get("columns", {})}

    def _task_made(self, context: Context, hook: KlingHook, submission: Submission) -> Task | None:
        """The task that an earlier try has paid for, if the function now returns another request; else as usual."""
        from airflow_provider_kling.decorators.tries import task_of_other_request

        made = task_of_other_request(hook, submission) if self._earlier_try and submission.derived else None
        if made is None:
            return super()._task_made(context, hook, submission)
        self.log.warning(
            "%s() asks for something else than in an earlier try, whose Kling task %s exists and is charged: that one is taken. "
            "To have a video of the new request as well, clear this task.",
            self.function,
            made.kling_task_id,
        )
        return made

    # --- Lineage: that of a list is the lineage of its batch

    def get_openlineage_facets_on_start(self) -> Any:
        return self.batch.get_openlineage_facets_on_start() if self.batch else super().get_openlineage_facets_on_start()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        ended = super().get_openlineage_facets_on_complete if self.batch is None else self.batch.get_openlineage_facets_on_complete
        return ended(task_instance)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        return self.get_openlineage_facets_on_complete(task_instance)


def _check_function(function: Any) -> None:
    """Raise KlingInputError for a function whose call returns something else than what stands behind its `return`."""
    kinds = {
        "an async function": inspect.iscoroutinefunction,
        "a generator": inspect.isgeneratorfunction,
        "an async generator": inspect.isasyncgenfunction,
    }
    for kind, is_one in kinds.items():
        if is_one(function):
            raise KlingInputError(
                f"{function.__name__} is {kind}; @task.kling_effect takes a plain function that returns a request, or a list of "
                "them."
            )
