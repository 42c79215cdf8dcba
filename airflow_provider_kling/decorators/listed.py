"""A list of requests in one Airflow task: a manifest that the function has written, and a batch that works on it.

So it holds what a batch holds: rows that fail do not fail the others, one look-up for all of them after a crash, the account's
slots kept full, a report. Several tasks are what `expand` is for. The list lies beside the results, because the triggerer and
the worker that resumes the task read it, and because a retry must not ask for other videos than the try that has paid.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.instances import instance_key

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.operators import KlingEffectBatchOperator

FOR_ONE = ("external_task_id", "callback_url", "row_id")  # options of the decorator that a list has no place for
SAME = (  # options that mean the same for a batch
    *("save_to", "file_name", "watermark", "sidecar", "max_concurrency", "max_failures", "max_videos", "max_units"),
    *("fail_if_capped", "kling_conn_id", "strict", "fresh", "poll_interval", "timeout", "deferrable", "execution_timeout"),
)


def batch_of(operator: Any, requests: Sequence[Mapping[str, Any]], context: Context) -> KlingEffectBatchOperator:
    """The batch of these requests, which are written as its manifest. Raises KlingInputError where the task can have none."""
    from airflow_provider_kling.decorators.returned import as_record

    _check(operator, context, len(requests))
    sources = operator._sources()  # without placeholders for base64
    defaults = {"image": sources[0]} if operator.image else {"images": sources}
    records = []
    for number, request in enumerate(requests, 1):
        try:
            records.append(as_record(request, {"effect_scene": operator.effect_scene, **defaults}))
        except KlingInputError as error:
            raise KlingInputError(f"Request {number} that {operator.function}() returned: {error}") from None
    _write(operator, _place(operator, context), records, keep=operator._earlier_try)
    return batch_again(operator, context)


def batch_again(operator: Any, context: Context) -> KlingEffectBatchOperator:
    """The batch of the requests that are written already, for a task that resumes."""
    from airflow_provider_kling.operators import KlingEffectBatchOperator

    operator.take_places()
    options = {name: getattr(operator, name) for name in SAME}
    return KlingEffectBatchOperator(
        task_id=operator.task_id, manifest=_place(operator, context), results=operator.results, **options
    )


def make(operator: Any, context: Context) -> list[dict[str, Any]]:
    """The lines of the results, in the order of the requests. With `deferrable`, this defers and does not return."""
    if operator.batch is None:
        operator.log.info("%s() returned an empty list: there is nothing to make.", operator.function)
        return []
    return _lines(operator, operator.batch, operator.batch.start(context))


def complete(operator: Any, context: Context, event: Any) -> list[dict[str, Any]]:
    """The same, after the triggerer has worked on all rows."""
    if operator.batch is None:
        raise AssertionError("a task that resumes has its batch")
    return _lines(operator, operator.batch, operator.batch.execute_complete(context, event))


def _lines(operator: Any, batch: KlingEffectBatchOperator, summary: Mapping[str, Any]) -> list[Any]:
    from airflow_provider_kling.object_paths import storage_path
    from airflow_provider_kling.results import intact_lines

    operator.show_links(True)
    return list(intact_lines(storage_path(str(summary["results"]))))


def _check(operator: Any, context: Context, count: int) -> None:
    """Raise KlingInputError for a task that cannot make a list of requests, before anything is written."""
    from airflow.providers.common.compat.sdk import conf

    returned = f"{operator.function}() returned a list of requests"
    if (context["ti"].map_index or 0) >= 0 and context["ti"].map_index is not None:
        raise KlingInputError(f"{returned} in a mapped task; wanted is one request: map the task over all of them.")
    if not operator.results:
        raise KlingInputError(f"{returned}; wanted is also results=…, a folder or URI for results.jsonl and report.html.")
    if not operator.wait_for_completion:
        raise KlingInputError(
            f"{returned}, whose results are known when all are done; wait_for_completion=False is for one request."
        )
    if given := next((name for name in FOR_ONE if getattr(operator, name) is not None), None):
        raise KlingInputError(f"{returned}, and the decorator has {given}, which is for a single request.")
    most = conf.getint("core", "max_map_length", fallback=1024)
    if count > most:
        raise KlingInputError(
            f"{operator.function}() returned {count:,} requests, which are more than one task should return ([core] max_map_length "
            f"= {most:,}). Write them as a manifest, and use KlingEffectBatchOperator, which takes one of any size."
        )


def _place(operator: Any, context: Context) -> str:
    """Where the requests of this task in this run, or in this iteration of its loop, are written: each has a file of its own."""
    from airflow_provider_kling.client import flows

    at = instance_key(context)
    key = flows.run_key(at.dag_id, at.run_id, at.task_id, at.iteration).removeprefix("airflow-")
    return f"{operator.results.rstrip('/')}/requests-{key}.jsonl"


def _write(operator: Any, place: str, records: list[dict[str, Any]], *, keep: bool) -> None:
    """Write the requests. With `keep`, those of an earlier try stay, unless only the signatures of their URLs have changed."""
    from airflow_provider_kling.object_paths import storage_path
    from airflow_provider_kling.storage import exists, read_lines, write_text

    path = storage_path(place)
    if keep and exists(path):
        earlier = [json.loads(line) for line in read_lines(path)]
        if [*map(_identity, earlier)] != [*map(_identity, records)]:
            operator.log.warning(
                "%s() returned other requests than in an earlier try, which may have paid for them: the %d of that try are made. "
                "To make the new ones, clear this task.",
                operator.function,
                len(earlier),
            )
            return
    write_text(path, (json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def _identity(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record, its images without what signs their URLs."""
    from airflow_provider_kling.api import strip_signature

    def plain(image: Any) -> Any:
        if isinstance(image, list):
            return [plain(one) for one in image]
        return strip_signature(image) if isinstance(image, str) and "://" in image else image

    return {**record, **{name: plain(record[name]) for name in ("image", "images") if name in record}}
