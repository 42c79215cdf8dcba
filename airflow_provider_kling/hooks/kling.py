"""KlingHook: the Kling account of an Airflow connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_kling import api, client
from airflow_provider_kling.api import DEFAULT_PAGE_SIZE
from airflow_provider_kling.client import flows, last_answer_by, monotonic_now, seconds
from airflow_provider_kling.errors import KlingError
from airflow_provider_kling.hooks.billing import BillingHook
from airflow_provider_kling.hooks.callbacks import callback_address, verified_task
from airflow_provider_kling.hooks.calls import (
    CREATE_WHEN_FREE_TIMEOUT,
    SAVE_TIMEOUT,
    WAIT_TIMEOUT,
    call_deadline,
    create_flow,
    named,
    request_of,
    save_flow,
    submission_of,
)
from airflow_provider_kling.metrics import CREATE_SPAN, SAVE_SPAN, WAIT_SPAN

if TYPE_CHECKING:
    from airflow_provider_kling.api import Task, TaskRequest
    from airflow_provider_kling.arguments import Place

POLL_INTERVAL = 10.0  # seconds; tasks take minutes


class KlingHook(BillingHook):
    """Creates, finds and awaits Kling tasks, and saves their videos. Each method has an async twin with the prefix `a`.

    A read is repeated after a fault that may pass, with growing, jittered pauses from `retry_wait` seconds, or longer ones
    if the server asks for them. A create is never repeated without a lookup (see `client.flows.create`). All errors are
    KlingError. `product` is the Kling product to which the tasks belong.
    """

    # --- Tasks

    def create_task(
        self,
        request: TaskRequest | None = None,
        *,
        effect_scene: str | None = None,
        image: Place | None = None,
        images: Sequence[Place] | None = None,
        external_task_id: str | None = None,
        callback_url: str | None = None,
        adopt_existing: bool = False,
    ) -> Task:
        """Create the task of a request once, and return it in its state after the create.

        The request is an object like `api.EffectRequest`, or an `effect_scene` with its `image` or its two `images`: URLs,
        paths, URIs of object stores, or base64. Images are read and checked before anything is sent.

        Without an `external_task_id`, a random one is used, so that even after a lost response no second task is created.
        With `adopt_existing`, the id is looked up before anything is sent. A task that exists under the id is returned
        instead of a new one, unless it failed: then the next id (`…-2`) is used.
        Raises KlingInputError for input that cannot work, and KlingSlotsFullError or KlingBusyError if nothing was created
        because the account is busy; `create_task_when_free` waits instead.
        """
        submission = self._submission(request, effect_scene, image, images, external_task_id, callback_url, adopt_existing)
        return self.run(*create_flow(self.product, submission, retry_wait=self.retry_wait), span=CREATE_SPAN)

    async def acreate_task(
        self,
        request: TaskRequest | None = None,
        *,
        effect_scene: str | None = None,
        image: Place | None = None,
        images: Sequence[Place] | None = None,
        external_task_id: str | None = None,
        callback_url: str | None = None,
        adopt_existing: bool = False,
    ) -> Task:
        submission = await asyncio.to_thread(
            self._submission, request, effect_scene, image, images, external_task_id, callback_url, adopt_existing
        )
        return await self.arun(*create_flow(self.product, submission, retry_wait=self.retry_wait), span=CREATE_SPAN)

    def create_task_when_free(
        self,
        request: TaskRequest | None = None,
        *,
        effect_scene: str | None = None,
        image: Place | None = None,
        images: Sequence[Place] | None = None,
        external_task_id: str | None = None,
        callback_url: str | None = None,
        adopt_existing: bool = False,
        timeout: float | timedelta = CREATE_WHEN_FREE_TIMEOUT,
    ) -> Task:
        """Create the task as soon as the account has a free slot and the API works, and return it; else like `create_task`.

        In an event loop, all that create with the same connection wait in one queue. Raises KlingTimeoutError after `timeout`
        (seconds, or a timedelta); its text says whether a task may exist.
        """
        span = seconds(timeout, "timeout")
        submission = self._submission(request, effect_scene, image, images, external_task_id, callback_url, adopt_existing)
        deadline = monotonic_now() + span
        flow = flows.create_when_free(self.product, submission, deadline=deadline)
        return self.run(flow, last_answer_by(deadline), span=CREATE_SPAN)

    async def acreate_task_when_free(
        self,
        request: TaskRequest | None = None,
        *,
        effect_scene: str | None = None,
        image: Place | None = None,
        images: Sequence[Place] | None = None,
        external_task_id: str | None = None,
        callback_url: str | None = None,
        adopt_existing: bool = False,
        timeout: float | timedelta = CREATE_WHEN_FREE_TIMEOUT,
    ) -> Task:
        deadline = time.time() + seconds(timeout, "timeout")
        submission = await asyncio.to_thread(
            self._submission, request, effect_scene, image, images, external_task_id, callback_url, adopt_existing
        )
        async with self.dispatched(self.kling_conn_id, self.product) as account:
            return await account.create(submission, deadline=deadline, log=client.LevelLog(self.log))

    def get_task(self, any_id: str) -> Task:
        """The task with this Kling task id or external id. Raises KlingTaskNotFound if there is none."""
        return self._read(api.get_call(self.product, any_id))

    async def aget_task(self, any_id: str) -> Task:
        return await self._aread(api.get_call(self.product, any_id))

    def find_task(self, external_id: str) -> Task | None:
        """The task with this external id, if there is one."""
        return self.run(flows.find(self.product, external_id), call_deadline(self.settings))

    async def afind_task(self, external_id: str) -> Task | None:
        return await self.arun(flows.find(self.product, external_id), call_deadline(await self.asettings()))

    def list_tasks(self, page_num: int = 1, page_size: int = DEFAULT_PAGE_SIZE) -> list[Task]:
        """Page 1 to 1000 of the account's tasks, with 1 to 500 tasks on a page. Do not rely on their order."""
        return self._read(api.list_call(self.product, page_num=page_num, page_size=page_size))

    async def alist_tasks(self, page_num: int = 1, page_size: int = DEFAULT_PAGE_SIZE) -> list[Task]:
        return await self._aread(api.list_call(self.product, page_num=page_num, page_size=page_size))

    def wait_for_task(
        self, kling_task_id: str, *, timeout: float | timedelta = WAIT_TIMEOUT, poll_interval: float | timedelta = POLL_INTERVAL
    ) -> Task:
        """Wait until the task has succeeded or failed, and return it. Raises KlingTimeoutError after `timeout`.

        `timeout` and `poll_interval` are seconds, or timedeltas.
        """
        deadline = monotonic_now() + seconds(timeout, "timeout")
        interval = seconds(poll_interval, "poll_interval")
        flow = flows.wait(self.product, kling_task_id, deadline=deadline, poll_interval=interval, conn_id=self.kling_conn_id)
        return self.run(flow, deadline=last_answer_by(deadline), span=WAIT_SPAN)

    async def await_for_task(
        self, kling_task_id: str, *, timeout: float | timedelta = WAIT_TIMEOUT, poll_interval: float | timedelta = POLL_INTERVAL
    ) -> Task:
        deadline = time.time() + seconds(timeout, "timeout")
        interval = seconds(poll_interval, "poll_interval")
        async with self.dispatched(self.kling_conn_id, self.product) as account:
            return await account.wait(kling_task_id, deadline=deadline, poll_interval=interval, log=client.LevelLog(self.log))

    def save_videos(
        self,
        task: Task,
        destination: Place,
        *,
        timeout: float | timedelta = SAVE_TIMEOUT,
        file_name: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Save the videos of a succeeded task under this folder or URI, within `timeout`. Returns their paths, in order.

        `file_name` is a template like `{row_id}-{kling_task_id}.mp4`, and `fields` has its values, but for those of the task.
        Without it a file has the name of the task, after the `row_id` that `fields` may have.
        An existing file is not downloaded again, and a dead link is renewed once. Raises KlingDownloadError, KlingTaskFailed
        for a task that has failed, and KlingInputError for one that is not done or a template that cannot work.
        """
        deadline = monotonic_now() + seconds(timeout, "timeout")
        flow = save_flow(self.product, task, destination, named(file_name, fields))
        return self.run(flow, deadline=deadline, span=SAVE_SPAN).paths

    async def asave_videos(
        self,
        task: Task,
        destination: Place,
        *,
        timeout: float | timedelta = SAVE_TIMEOUT,
        file_name: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> list[str]:
        deadline = monotonic_now() + seconds(timeout, "timeout")
        flow = save_flow(self.product, task, destination, named(file_name, fields))
        return (await self.arun(flow, deadline=deadline, span=SAVE_SPAN)).paths

    def read_callback(self, body: bytes, headers: Mapping[str, str]) -> Task:
        """The task in a callback from Kling, after its signature is verified with the connection's `webhook_secret`.

        Takes both shapes that Kling has for a body, that of `/v1` and that of its newer APIs. Each of several secrets counts, as
        a rotation needs it. What is unsigned is refused, unless the connection has `accept_unsigned_callbacks`.
        Raises KlingSettingsError without a secret, KlingAnswerError for a signature that is wrong or older than five
        minutes, and for a body that is not a task. Callbacks can be repeated, late or out of order: query the task before
        money or files depend on it.
        """
        return verified_task(self.settings, body, headers)

    async def aread_callback(self, body: bytes, headers: Mapping[str, str]) -> Task:
        return verified_task(await self.asettings(), body, headers)

    # --- The connection

    def test_connection(self) -> tuple[bool, str]:
        """Whether the credentials work, and a text: if they do not, what is wrong. Reads one task, which costs nothing."""
        try:
            self._read(api.list_call(self.product, page_size=1), tries=1)
            return True, f"Kling accepts the credentials at {self.settings.base_url}."
        except KlingError as error:
            return False, str(error)
        finally:
            self.close()

    async def atest_connection(self) -> tuple[bool, str]:
        try:
            await self._aread(api.list_call(self.product, page_size=1), tries=1)
            return True, f"Kling accepts the credentials at {(await self.asettings()).base_url}."
        except KlingError as error:
            return False, str(error)
        finally:
            await self.aclose()

    def _submission(
        self,
        request: TaskRequest | None,
        effect_scene: str | None,
        image: Place | None,
        images: Sequence[Place] | None,
        external_task_id: str | None,
        callback_url: str | None,
        adopt_existing: bool,
    ) -> flows.Submission:
        """What the arguments of a create ask for. Logs warnings about the scene, and blocks while images are read."""
        made = request_of(self.product, request, effect_scene, image, images, warn=self.log.warning)
        address = callback_address(callback_url, self.kling_conn_id)
        return submission_of(made, external_task_id, address, adopt_existing=adopt_existing)
