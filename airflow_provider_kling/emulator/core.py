"""The parts of one emulator, put together."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections.abc import Iterator
from typing import Any

import aiohttp

from airflow_provider_kling.api import MAX_IMAGE_BYTES, CreateBody, Refusal, Video, is_url
from airflow_provider_kling.emulator.model import (
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
    inputs,
)
from airflow_provider_kling.emulator.videos import SECONDS, Store, Videos
from airflow_provider_kling.emulator.web import Callbacks, Notice, shown_url

FIXED = ("host", "port", "log")  # settings that only a new start can change
FETCH_TIMEOUT = 10.0


class Emulator:
    """An account with its clock, journal, faults, pictures and callbacks. Lives in one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._initial = settings
        self._links = Links(os.urandom(32))
        self.pictures = Store(limit=64 * 2**20)
        self.guard = Guard()
        self.videos = Videos(pictures=self.pictures)
        self.callbacks = Callbacks(
            due=self._due_notices, delay=self._notice_delay, record=self._record_callback, real_time=time.time
        )
        self.reset()

    def reset(self) -> None:
        """As after a start: no tasks, no faults, the first settings, an empty journal."""
        self._apply(self._initial)
        self.clock = Clock(speed=self.settings.speed, manual=self.settings.manual_clock)
        self.account = Account(self.settings, now=self.clock.now())
        self.faults = Faults(seed=self.settings.seed)
        self.journal = Journal()

    def configure(self, changes: dict[str, Any]) -> None:
        """Other settings from now on. ValueError for those that only a new start can change."""
        known = {option.name for option in dataclasses.fields(Settings)}
        for name in changes:
            if name not in known or name in FIXED:
                raise ValueError(f"{name!r} is no setting that can be changed; there are {', '.join(sorted(known - set(FIXED)))}.")
        self._apply(dataclasses.replace(self.settings, **changes))
        self.account.settings = self.settings
        if "speed" in changes or "manual_clock" in changes:
            self.clock.set_speed(0.0 if self.settings.manual_clock else self.settings.speed)

    def now(self) -> float:
        """The account's time."""
        return self.clock.now()

    def _apply(self, settings: Settings) -> None:
        self.callbacks.sign_with(settings.webhook_secret)
        self.settings = settings
        self.guard.forget()
        self.videos.always_clip = settings.videos == "clip"
        self.callbacks.wake()

    # --- Input images ---------------------------------------------------------------------------------------

    async def accept(self, body: CreateBody, *, base: str) -> Order:
        """The order in a create, its images looked at; Refusal when they cannot be."""
        inputs.check_scene(body, strict=self.settings.strict_scenes)
        pictures = [await self._look_at(image) for image in body.images]
        inline = any(not is_url(image) for image in body.images)
        mark = await asyncio.to_thread(inputs.fingerprint, body) if inline else inputs.fingerprint(body)
        return Order(
            effect_scene=body.effect_scene,
            pictures=tuple(picture.key for picture in pictures),
            external_task_id=body.external_task_id,
            callback_url=body.callback_url,
            fingerprint=mark,
            flaw=inputs.first_flaw(body.effect_scene, pictures, risky=self.settings.risky_scene),
            base=base,
        )

    async def _look_at(self, image: str) -> inputs.Picture:
        if not is_url(image):
            picture = await asyncio.to_thread(inputs.of_text, image)
        else:
            picture = inputs.of_url(image)
            if self.settings.fetch_images and not picture.flaw:
                picture = await asyncio.to_thread(inputs.of_bytes, await _fetch(image))
        if picture.data is not None:
            self.pictures.put(picture.key, picture.data)
        return dataclasses.replace(picture, data=None)

    # --- Tasks as they are shown ----------------------------------------------------------------------------

    def show(self, record: Record, *, now: float, base: str) -> dict[str, Any]:
        """The task as a query answers it, with links that work now."""
        videos = (self._video(record, self.settings.public_url or base),) if record.done(now) and not record.failure else ()
        return record.shown(now=now, units=self.account.units(record), videos=videos)

    def linked(self, file_name: str) -> tuple[Record, Link] | None:
        """The task and the link behind the last part of a video's path; None when there is none (any more)."""
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

    def _due_notices(self) -> Iterator[Notice]:
        for record, moment in self.account.notices(self.now()):
            yield Notice(url=record.order.callback_url or "", task=self.show(record, now=moment, base=record.order.base))

    def _notice_delay(self) -> float | None:
        moment = self.account.next_notice()
        return None if moment is None else self.clock.wait_until(moment)

    def _record_callback(self, notice: Notice, status: int) -> None:
        entry = self.journal.open(time=self.now(), kind="callback", method="POST", path=shown_url(notice.url))
        entry.kling_task_id = notice.task["task_id"]
        entry.external_task_id = notice.task["task_info"]["external_task_id"]
        self.journal.close(entry, status=status, code=None)


async def _fetch(url: str) -> bytes:
    """The bytes of an image, as far as they may go; Refusal 1201 when it cannot be loaded."""
    timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            if response.status != 200:
                raise Refusal(1201, "Image url can not be loaded")
            data = bytearray()
            async for part in response.content.iter_chunked(2**16):
                data += part
                if len(data) > MAX_IMAGE_BYTES:
                    break
            return bytes(data)
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError):
        raise Refusal(1201, "Image url can not be loaded") from None
