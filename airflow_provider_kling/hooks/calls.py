"""The hook's own calls, and what they may take where the caller sets no deadline."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_provider_kling import api, naming
from airflow_provider_kling.arguments import check_images, check_text, place_text, places_text
from airflow_provider_kling.client import flows, last_answer_by, monotonic_now
from airflow_provider_kling.errors import KlingInputError

if TYPE_CHECKING:
    from airflow_provider_kling.api import Call, Charge, ChargeQuery, PaidWith, Product, ResourcePack, Task, TaskRequest
    from airflow_provider_kling.arguments import Place
    from airflow_provider_kling.client import KlingSettings
    from airflow_provider_kling.naming import SaveAs

CALL_TIMEOUT = 30.0  # seconds for a query with all its tries, unless the connection's timeout is longer
CREATE_TIMEOUT = 300.0  # seconds for a create with its lookups
CREATE_WHEN_FREE_TIMEOUT = 86400.0  # seconds until a slot is free, as for the operators
WAIT_TIMEOUT = 3600.0  # seconds for one task
SAVE_TIMEOUT = 3600.0  # seconds for the videos of one task
CHARGES_TIMEOUT = 900.0  # seconds for all pages of a list of charges


def call_deadline(settings: KlingSettings) -> float:
    """When a call must have ended, its tries and pauses included, on the monotonic clock."""
    return monotonic_now() + max(CALL_TIMEOUT, settings.timeout)


def request_of(
    product: Product,
    request: TaskRequest | None,
    effect_scene: str | None,
    image: Place | None,
    images: Sequence[Place] | None,
    *,
    warn: Callable[[str, str], object],
) -> TaskRequest:
    """The request of a create: the object itself, or one made of a scene and the sources of its images, which are read here.

    `warn` gets a format and a sentence for each warning about the scene. Raises KlingInputError for what cannot work.
    """
    if request is not None:
        if effect_scene is not None or image is not None or images is not None:
            raise KlingInputError("A request and effect_scene, image or images are given; wanted is one or the other.")
        if isinstance(request, str):
            raise KlingInputError(
                "The request is a text; wanted is an EffectRequest, or effect_scene=… with image=… or images=[…]."
            )
        return request
    if effect_scene is None:
        raise KlingInputError("effect_scene is missing; wanted is the name of a scene, like 'pet_lion_pro', or a request.")
    from airflow_provider_kling.manifests import load_image

    image, images = place_text(image), places_text(images)
    check_images(image, images)
    made = product.request_of(effect_scene, [load_image(source) for source in images or [image]])
    for warning in made.check_scene() if isinstance(made, api.EffectRequest) else ():
        warn("%s", warning)
    return made


def submission_of(
    request: TaskRequest, external_task_id: str | None, callback_url: str | None, *, adopt_existing: bool
) -> flows.Submission:
    """The submission of a request, under a random external id where the caller has none."""
    return flows.Submission(
        request=request,
        external_id=external_task_id or f"kling-{uuid.uuid4().hex}",
        callback_url=callback_url,
        adopt_existing=adopt_existing,
        scene=getattr(request, "effect_scene", None),
    )


def create_flow(product: Product, submission: flows.Submission, *, retry_wait: float) -> tuple[flows.Flow[Task], float]:
    """The flow of one create, and when its last answer must have come."""
    deadline = monotonic_now() + CREATE_TIMEOUT
    return flows.create(product, submission, retry_wait=retry_wait, deadline=deadline), last_answer_by(deadline)


def save_flow(product: Product, task: Task, destination: Place, save_as: SaveAs | None = None) -> flows.Flow[flows.SavedFiles]:
    """The flow that saves the videos of a task. Raises KlingTaskFailed or KlingInputError for a task without videos."""
    folder = place_text(destination)
    check_text("destination", folder, wanted="a folder or URI", operator="KlingTaskSensor")
    if task.failed:
        raise api.task_failure(task.kling_task_id, task.message, advice="It has no videos.")
    if not task.succeeded:
        raise KlingInputError(
            f"Kling task {task.kling_task_id} is not done ({task.status}), so it has no videos yet: call wait_for_task first, and "
            "pass the task that it returns."
        )
    return _save(product, task, folder, save_as or naming.SaveAs())


def _save(product: Product, task: Task, folder: str, save_as: SaveAs) -> flows.Flow[flows.SavedFiles]:
    if not task.videos:  # a list may leave them out
        task = yield from flows.look_up(product, task.kling_task_id)
    return (yield from flows.save_files(product, task, folder, save_as))


def named(file_name: str | None, fields: Mapping[str, Any] | None) -> SaveAs:
    """How `save_videos` names files. Raises KlingInputError for a template that cannot work."""
    if file_name is not None:
        naming.check_fields(file_name, columns=fields or ())
    return naming.SaveAs(file_name=file_name, fields=fields or {})


def packs_call(start: pendulum.DateTime | None, end: pendulum.DateTime | None, name: str | None) -> Call[list[ResourcePack]]:
    """The call for the resource packs of a period, by default the last year."""
    end = end or pendulum.now("UTC")
    return api.costs_call(start=start or end.subtract(years=1), end=end, name=name)


def charges_flow(
    start: datetime, end: datetime, paid_with: PaidWith | None, *, page_size: int, **filters: str | Sequence[str] | None
) -> flows.Flow[list[Charge]]:
    """The flow that reads the charges of one endpoint, or of both that know all these filters, by time."""
    given = {name: [value] if isinstance(value, str) else list(value) for name, value in filters.items() if value is not None}
    kinds = [paid_with] if paid_with is not None else [kind for kind in api.PAID_WITH if given.keys() <= set(api.FILTERS[kind])]
    return _charges([api.ChargeQuery(paid_with=kind, start=start, end=end, filters=given, limit=page_size) for kind in kinds])


def _charges(queries: Sequence[ChargeQuery]) -> flows.Flow[list[Charge]]:
    found: list[Charge] = []
    for query in queries:
        found += yield from flows.charges(query)
    never = pendulum.from_timestamp(0)
    return sorted(found, key=lambda charge: (charge.charged_at or never, charge.kling_task_id or ""))
