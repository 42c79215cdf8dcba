"""The steps that a flow asks its driver to take, and what a driver answers to each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from enum import Enum
from typing import Any, TypeVar

from airflow_provider_kling.api import Call, Product, Task, TaskRequest
from airflow_provider_kling.metrics import Metric
from airflow_provider_kling.naming import VideoName
from airflow_provider_kling.values import value

T = TypeVar("T")


@value
class Sleep:
    """Wait so many seconds. Brings the time at which the wait ended, on the driver's monotonic clock: that of an event loop,
    or `time.monotonic`.

    With `for_slot` the wait may end earlier or later: as soon as the account has a free slot.
    """

    seconds: float
    for_slot: bool = False


@value
class CheckCapacity:
    """Check that the user permits one more running task. Brings nothing; raises KlingSlotsFullError if not."""

    product: Product


class Reserved(Enum):
    """What a `Reserve` has led to."""

    NEW = "new"  # a place was taken
    HAD = "had"  # the id has had a place before, and a task may exist; or there are no caps
    LIST_FIRST = "list first"  # the account's list must be read, and given as `listed` with the number of its pages


@value
class Reserve:
    """Take a place within the caps of the account (see `client.spending`) for a create of this external id and scene.

    Brings a `Reserved`. Raises KlingCappedError if there is no place.
    """

    external_id: str
    scene: str | None
    listed: tuple[Task, ...] | None = None
    pages: int = 0


@value
class GiveBack:
    """Nothing was made under this external id: its place is free. Brings nothing."""

    external_id: str


@value
class LoadRequest:
    """Call `load`, which may block, and bring the request that it returns."""

    load: Callable[[], TaskRequest]


@value
class SaveVideo:
    """Store the video of this link as `name` in the folder or URI `destination`, unless it is saved already. Brings `Saved`.

    `video` says what other names the video may have. Without it, `name` alone is enough to tell whose video a file is.
    """

    url: str
    destination: str
    name: str
    video: VideoName | None = None

    @property
    def names(self) -> VideoName:
        return self.video or VideoName(self.name)


@value
class Saved:
    """Where a video is, whether this step has stored it, and what there is to say about its name."""

    path: str
    new: bool
    note: str = ""


@value
class Log:
    """Write this sentence to the log of the caller, at this level of `logging`. Brings nothing."""

    message: str
    level: int = logging.INFO


@value
class Count:
    """Count an event of this kind, for a request with this scene, in the metrics. Brings nothing."""

    metric: Metric
    scene: str | None
    code: int | None = None


Step = Call[Any] | Sleep | CheckCapacity | Reserve | GiveBack | LoadRequest | SaveVideo | Log | Count
Flow = Generator[Step, Any, T]
