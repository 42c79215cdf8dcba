"""The client's end: calls to the API, and how to read their answers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import pendulum

from airflow_provider_kling.api.effects import EffectRequest
from airflow_provider_kling.api.parsing import milliseconds, read_object, shorten
from airflow_provider_kling.api.paths import COSTS_PATH, DEFAULT_PAGE_SIZE, EFFECTS_PATH, MAX_PAGE_NUM, MAX_PAGE_SIZE
from airflow_provider_kling.api.responses import Response, data_of
from airflow_provider_kling.api.tasks import ResourcePack, Task
from airflow_provider_kling.errors import KlingAnswerError, KlingInputError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """One request to the API, and how to read its answer."""

    method: str
    path: str
    parse: Callable[[Any], T]
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def safe(self) -> bool:
        """Whether it may be sent again without a thought."""
        return self.method == "GET"

    def read(self, answer: Response) -> T:
        """The value in the answer; one of KlingApiError, KlingAnswerError for all else."""
        try:
            return self.parse(data_of(answer))
        except KlingAnswerError as error:
            if error.http_status is None:
                error.http_status = answer.status
            raise


def create_call(request: EffectRequest, *, external_task_id: str, callback_url: str | None = None) -> Call[Task]:
    """Make a task. It costs money; whether it may be repeated is decided in `flows`."""
    body: dict[str, Any] = {
        "effect_scene": request.effect_scene,
        "input": request.input,
        "external_task_id": check_id(external_task_id),
    }
    if callback_url:
        body["callback_url"] = callback_url
    return Call(method="POST", path=EFFECTS_PATH, body=body, parse=Task.from_json)


def get_call(any_id: str) -> Call[Task]:
    """The task with this Kling task id or external id."""
    return Call(method="GET", path=f"{EFFECTS_PATH}/{quote(check_id(any_id), safe='')}", parse=Task.from_json)


def list_call(*, page_num: int = 1, page_size: int = DEFAULT_PAGE_SIZE) -> Call[list[Task]]:
    """One page of the account's tasks, in no order that may be relied on."""
    _within("page_num", page_num, MAX_PAGE_NUM)
    _within("page_size", page_size, MAX_PAGE_SIZE)
    params = {"pageNum": str(page_num), "pageSize": str(page_size)}
    return Call(method="GET", path=EFFECTS_PATH, params=params, parse=_tasks)


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of the list. `length` counts what it held, also tasks of a form that this version cannot read."""

    tasks: list[Task]
    length: int


def page_call(*, page_num: int, page_size: int) -> Call[Page]:
    """The same page; a task on it that cannot be read does not keep the others from being seen."""
    call = list_call(page_num=page_num, page_size=page_size)
    return Call(method=call.method, path=call.path, params=call.params, parse=_page)


def costs_call(*, start: pendulum.DateTime, end: pendulum.DateTime, name: str | None = None) -> Call[list[ResourcePack]]:
    """The account's resource packs. Free, at most one call per second."""
    if start >= end:
        raise KlingInputError(f"The span of resource packs starts at {start}, which is not before its end {end}.")
    params = {"start_time": str(milliseconds(start)), "end_time": str(milliseconds(end))}
    if name:
        params["resource_pack_name"] = name
    return Call(method="GET", path=COSTS_PATH, params=params, parse=_packs)


def check_id(any_id: str | int) -> str:
    """The id as text, when it can stand in a path; KlingInputError otherwise.

    A whole number is taken too: native templates make one of the digits of a Kling task id.
    """
    if isinstance(any_id, int) and not isinstance(any_id, bool):
        any_id = str(any_id)
    if not isinstance(any_id, str):
        raise KlingInputError(f"A task id is {any_id!r}; wanted is a text: other numbers lose digits on the way.")
    if not any_id or any_id != any_id.strip() or any_id in (".", "..") or not any_id.isprintable():
        raise KlingInputError(f"A task id is {any_id!r}; wanted is the id of a Kling task, or an external id.")
    if len(any_id) > 256:
        raise KlingInputError(f"A task id has {len(any_id)} characters; wanted are at most 256.")
    return any_id


def _within(name: str, value: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise KlingInputError(f"{name} is {value!r}; the API takes 1 to {most}.")


def _tasks(data: Any) -> list[Task]:
    if not isinstance(data, list):
        raise KlingAnswerError(f"A list of tasks is {shorten(data)}, not a list.")
    return [Task.from_json(task) for task in data]


def _page(data: Any) -> Page:
    if not isinstance(data, list):
        raise KlingAnswerError(f"A list of tasks is {shorten(data)}, not a list.")
    tasks = []
    for entry in data:
        with contextlib.suppress(KlingAnswerError):
            tasks.append(Task.from_json(entry))
    return Page(tasks=tasks, length=len(data))


def _packs(data: Any) -> list[ResourcePack]:
    data = read_object(data, "the account's costs")
    inner = data.get("code", 0)
    if inner != 0:
        raise KlingAnswerError(f"The account's costs answer code {shorten(inner)}: {shorten(data.get('msg'))}.")
    packs = data.get("resource_pack_subscribe_infos") or []
    if not isinstance(packs, list):
        raise KlingAnswerError(f"The resource packs are {shorten(packs)}, not a list.")
    return [ResourcePack.from_json(pack) for pack in packs]
