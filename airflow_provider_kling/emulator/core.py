"""One emulator without its web server: an account with its clock, journal, faults, pictures and videos."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_kling.api import EFFECTS, CreateBody, Product, ReceivedRequest, Video, is_url
from airflow_provider_kling.emulator.model import (
    RISK,
    Account,
    Clock,
    Faults,
    Guard,
    Journal,
    Link,
    Links,
    Order,
    Record,
    Settings,
    check_content,
    fingerprint,
    first_failure,
    is_risky,
)
from airflow_provider_kling.emulator.videos import SECONDS, Store, Upload, Videos, drawn_key, receive

FIXED = ("host", "port", "log")  # settings that only a new start can change


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A callback to send: its URL, and the task's object at that moment."""

    url: str = field(repr=False)
    task: Mapping[str, Any]


class Emulator:
    """The parts of one emulator, put together. It serves these products, and lives in one event loop."""

    def __init__(self, settings: Settings, products: Sequence[Product] = (EFFECTS,)) -> None:
        self.products = tuple(products)
        self._initial = settings
        self._links = Links(os.urandom(32))
        self._listeners: list[Callable[[], None]] = []
        self.pictures = Store(limit=64 * 2**20)
        self.guard = Guard()
        self.videos = Videos(pictures=self.pictures)
        self.reset()

    def reset(self) -> None:
        """Return to the state after the start: no tasks, no faults, the first settings, an empty journal."""
        self._apply(self._initial)
        self.clock = Clock(real=time.time, speed=self.settings.speed, manual=self.settings.manual_clock)
        self.account = Account(self.settings, now=self.clock.now())
        self.faults = Faults(seed=self.settings.seed)
        self.journal = Journal()

    def configure(self, changes: dict[str, Any]) -> None:
        """Change settings. Raises ValueError for an invalid one, and for one that only a new start can change."""
        known = {option.name for option in dataclasses.fields(Settings)}
        for name in changes:
            if name not in known or name in FIXED:
                changeable = ", ".join(sorted(known - set(FIXED)))
                raise ValueError(f"{name!r} is not a setting that can be changed; expected one of {changeable}.")
        self._apply(dataclasses.replace(self.settings, **changes))
        self.account.settings = self.settings
        if "speed" in changes or "manual_clock" in changes:
            self.clock.set_speed(0.0 if self.settings.manual_clock else self.settings.speed)

    def now(self) -> float:
        """The account's time."""
        return self.clock.now()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change that may make a callback due earlier."""
        self._listeners.append(listener)

    def changed(self) -> None:
        """Notify the listeners. Call it after a change of the account's tasks or of the clock."""
        for listener in self._listeners:
            listener()

    def _apply(self, settings: Settings) -> None:
        _check_signing(settings)
        self.settings = settings
        self.guard.forget()
        self.videos.always_clip = settings.videos == "clip"
        self.changed()

    # --- Creates --------------------------------------------------------------------------------------------

    async def accept(self, product: Product, body: CreateBody, *, base: str, credential: str = "") -> Order:
        """Check a create and its images, and turn it into an order. Raises Refusal for an invalid one."""
        request, settings = body.request, self.settings
        product.check(request, settings.strict_scenes)
        uploads = [await receive(image, store=self.pictures, fetch=settings.fetch_images) for image in request.images]
        await self._check_content(request)
        inline = any(not is_url(image) for image in request.images)
        mark = await asyncio.to_thread(fingerprint, product, request) if inline else fingerprint(product, request)
        return Order(
            title=request.title,
            product=product,
            pictures=tuple(upload.key for upload in uploads) or (drawn_key(request.title),),
            external_task_id=body.external_task_id,
            callback_url=body.callback_url,
            fingerprint=mark,
            failure=first_failure(request.title, await self._failures(request, uploads), risky=settings.risky_scene),
            base=base,
            credential=credential,
        )

    async def _check_content(self, request: ReceivedRequest) -> None:
        if self.settings.moderated_scene or self.settings.moderated_image:
            await asyncio.to_thread(check_content, request, self.settings)

    async def _failures(self, request: ReceivedRequest, uploads: Sequence[Upload]) -> list[str]:
        failures = [upload.failure for upload in uploads]
        risky = await asyncio.to_thread(is_risky, request.images, self.settings) if self.settings.risky_image else False
        return [*failures, RISK] if risky else failures

    # --- Tasks in answers -----------------------------------------------------------------------------------

    def task_data(self, record: Record, *, now: float, base: str) -> dict[str, Any]:
        """The task as a query answers it, with links that work now."""
        videos = (self._video(record, self.settings.public_url or base),) if record.done(now) and not record.failure else ()
        return record.to_json(now=now, units=self.account.units(record), videos=videos)

    def linked(self, file_name: str) -> tuple[Record, Link] | None:
        """The task and the link of a video's file name; None if there is no such video or it is deleted."""
        link, now = self._links.read(file_name), self.now()
        record = self.account.find(link.kling_task_id) if link else None
        alive = record is not None and now < record.ends_at + self.settings.link_lifetime
        return (record, link) if record and link and alive else None

    def _video(self, record: Record, base: str) -> Video:
        def link(*, watermark: bool) -> str:
            target = Link(kling_task_id=record.kling_task_id, epoch=record.epoch, watermark=watermark)
            return base.rstrip("/") + self._links.path(target)

        return Video(
            id=f"{record.kling_task_id}1",
            url=link(watermark=False),
            watermark_url=link(watermark=True),
            duration=SECONDS if self.settings.video_duration else None,
        )

    # --- Callbacks ------------------------------------------------------------------------------------------

    def due_notices(self) -> Iterator[Notice]:
        """The callbacks that are due now, each once."""
        for record, moment in self.account.notices(self.now()):
            yield Notice(url=record.order.callback_url or "", task=self.task_data(record, now=moment, base=record.order.base))

    def next_notice_in(self) -> float | None:
        """Wall-clock seconds until the next callback is due; None if only a change can make one due."""
        moment = self.account.next_notice()
        return None if moment is None else self.clock.wait_until(moment)


def _check_signing(settings: Settings) -> None:
    """Raises ValueError if callbacks are to be signed and cannot be: now, not when the first one is due."""
    if settings.webhook_secret and importlib.util.find_spec("standardwebhooks") is None:
        raise ValueError("Signed callbacks need the package standardwebhooks: airflow-provider-kling[emulator].")
