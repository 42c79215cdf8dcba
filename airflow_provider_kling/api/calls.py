"""The client's half: calls to the API, and how to read the responses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import pendulum

from airflow_provider_kling.api.ids import check_id
from airflow_provider_kling.api.parsing import check_span, milliseconds, read_object, shorten
from airflow_provider_kling.api.paths import COSTS_PATH, DEFAULT_PAGE_SIZE, MAX_PAGE_NUM, MAX_PAGE_SIZE
from airflow_provider_kling.api.products import Product, TaskRequest
from airflow_provider_kling.api.refusals import name_refused
from airflow_provider_kling.api.responses import Response, read_data
from airflow_provider_kling.api.tasks import ResourcePack, Task
from airflow_provider_kling.errors import KlingAnswerError, KlingInputError, KlingPolicyError
from airflow_provider_kling.values import value

T = TypeVar("T")


@value(kw_only=True)
class Call(Generic[T]):
    """One request to the API, and how to read its response."""

    method: str
    path: str
    parse: Callable[[Any], T]
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    reads: bool = False  # a POST that changes nothing
    images: int | None = None  # of the request that a create sends, for a refusal that means one of them

    @property
    def safe(self) -> bool:
        """Whether it may be sent again without a lookup."""
        return self.method == "GET" or self.reads

    def read(self, response: Response) -> T:
        """The value in the response. Raises KlingApiError for an error code, KlingAnswerError for an unknown shape."""
        try:
            return self.parse(read_data(response))
        except KlingAnswerError as error:
            if error.http_status is None:
                error.http_status = response.status
            raise
        except KlingPolicyError as error:
            name_refused(error, error.message, self.images)
            raise


def create_call(product: Product, request: TaskRequest, *, external_task_id: str, callback_url: str | None = None) -> Call[Task]:
    """Create a task. It costs money; `flows.create` decides whether it may be sent again."""
    body = {**request.body, "external_task_id": check_id(external_task_id)}
    if callback_url:
        body["callback_url"] = callback_url
    images = getattr(request, "images", None)
    count = len(images) if isinstance(images, list | tuple) else None
    return Call(method="POST", path=product.path, body=body, parse=product.read_task, images=count)


def get_call(product: Product, any_id: str) -> Call[Task]:
    """Query the task with this Kling task id or external id."""
    return Call(method="GET", path=f"{product.path}/{quote(check_id(any_id), safe='')}", parse=product.read_task)


def list_call(product: Product, *, page_num: int = 1, page_size: int = DEFAULT_PAGE_SIZE) -> Call[list[Task]]:
    """Query one page of the account's tasks. Do not rely on their order: it is not documented."""
    return _list(product, page_num, page_size, lambda data: [product.read_task(task) for task in _entries(data)])


@value(kw_only=True)
class Page:
    """One page of the list. `length` counts all its entries, also those that this version cannot read."""

    tasks: list[Task]
    length: int


def page_call(product: Product, *, page_num: int, page_size: int) -> Call[Page]:
    """Query the same page, and omit the entries that cannot be read instead of failing for all of them."""

    def parse(data: Any) -> Page:
        tasks = []
        for entry in _entries(data):
            with contextlib.suppress(KlingAnswerError):
                tasks.append(product.read_task(entry))
        return Page(tasks=tasks, length=len(data))

    return _list(product, page_num, page_size, parse)


def costs_call(*, start: pendulum.DateTime, end: pendulum.DateTime, name: str | None = None) -> Call[list[ResourcePack]]:
    """The account's resource packs. Free, at most one call per second."""
    check_span(start, end, "resource packs")
    params = {"start_time": str(milliseconds(start)), "end_time": str(milliseconds(end))}
    if name:
        params["resource_pack_name"] = name
    return Call(method="GET", path=COSTS_PATH, params=params, parse=_packs)


def _check_range(name: str, value: int, maximum: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= maximum:
        raise KlingInputError(f"{name} is {value!r}; the API takes 1 to {maximum}.")


def _list(product: Product, page_num: int, page_size: int, parse: Callable[[Any], T]) -> Call[T]:
    _check_range("page_num", page_num, MAX_PAGE_NUM)
    _check_range("page_size", page_size, MAX_PAGE_SIZE)
    return Call(method="GET", path=product.path, params={"pageNum": str(page_num), "pageSize": str(page_size)}, parse=parse)


def _entries(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise KlingAnswerError(f"A list of tasks is {shorten(data)}, not a list.")
    if len(data) > MAX_PAGE_SIZE:
        raise KlingAnswerError(f"A page of tasks has {len(data):,} entries; the API has {MAX_PAGE_SIZE} at most.")
    return data


def _packs(data: Any) -> list[ResourcePack]:
    data = read_object(data, "the account's costs")
    inner = data.get("code", 0)
    if inner != 0:
        raise KlingAnswerError(f"The account's costs answer code {shorten(inner)}: {shorten(data.get('msg'))}.")
    packs = data.get("resource_pack_subscribe_infos") or []
    if not isinstance(packs, list):
        raise KlingAnswerError(f"The resource packs are {shorten(packs)}, not a list.")
    return [ResourcePack.from_json(pack) for pack in packs]
