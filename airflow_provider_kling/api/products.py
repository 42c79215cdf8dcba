"""What differs between Kling's asynchronous products.

All tasks under `/v1` share the envelope, the statuses, external ids, callbacks, the query by either id and the paged list
(vendor's pages on each product). A `Product` is a value that describes the rest. `effects.EFFECTS` is the only one so far;
another one is one more module beside `effects`. Clients, dispatcher, batch and emulator work with any product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from airflow_provider_kling.api.tasks import Task
from airflow_provider_kling.values import value


class TaskRequest(Protocol):
    """The request for one task. It is immutable."""

    @property
    def body(self) -> Mapping[str, Any]:
        """The keys of a create's body that are specific to the product."""

    @property
    def fingerprint(self) -> str:
        """A text that identifies the request: equal for equal requests, different for different ones."""

    @property
    def portable(self) -> bool:
        """Whether it may be stored as text and sent from another machine: it holds links, but no image."""


@value(kw_only=True)
class ReceivedRequest:
    """The request in a create's body, as the server reads it. `title` names it in the ledger and in the video: the scene."""

    title: str
    images: tuple[str, ...] = field(default=(), repr=False)


@value(kw_only=True)
class Product:
    """An asynchronous product of the API.

    - `name`: its name in messages, in the plural: "video effects".
    - `path`: the path to create (POST) and list (GET) its tasks. With an id appended, it queries one task.
    - `request_of`: makes a request from a scene, and from images in the form that the API accepts.
    - `read_task`: reads a task from the `data` of a response. Raises KlingAnswerError for another shape.
    - `read_body`: the server's half: reads a create's body. Raises Refusal 1201 for a wrong form.
    - `check`: the server's half: raises Refusal 1201 for a request that cannot work or, with `strict`, for an unknown scene.
    """

    name: str
    path: str
    request_of: Callable[[str, Sequence[str]], TaskRequest] = field(repr=False)
    read_task: Callable[[Any], Task] = field(default=Task.from_json, repr=False)
    read_body: Callable[[Mapping[str, Any]], ReceivedRequest] = field(repr=False)
    check: Callable[[ReceivedRequest, bool], None] = field(default=lambda request, strict: None, repr=False)
