"""KlingHook: the Kling account of an Airflow connection."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import pendulum
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_provider_kling.api import (
    DEFAULT_PAGE_SIZE,
    EFFECTS,
    Call,
    Product,
    ResourcePack,
    Task,
    TaskRequest,
    get_call,
    list_call,
)
from airflow_provider_kling.client import KlingSettings, flows, last_answer_by, monotonic_now
from airflow_provider_kling.errors import KlingError, KlingSettingsError
from airflow_provider_kling.get_provider_info import UI_FIELD_BEHAVIOUR
from airflow_provider_kling.hooks.callbacks import verified_task
from airflow_provider_kling.hooks.calls import SAVE_TIMEOUT, call_deadline, create_flow, packs_call

if TYPE_CHECKING:
    from airflow_provider_kling.client import AsyncClient, Client
    from airflow_provider_kling.dispatch import Dispatcher

T = TypeVar("T")

DEFAULT_CONN_ID = "kling_default"
POLL_INTERVAL = 10.0  # seconds; tasks take minutes


class KlingHook(BaseHook):
    """Creates, finds and awaits Kling tasks, and saves their videos. Each method has an async twin with the prefix `a`.

    A read is repeated after a fault that may pass, with growing, jittered pauses from `retry_wait` seconds, or longer ones
    if the server asks for them. A create is never repeated without a lookup (see `client.flows.create`). All errors are
    KlingError. `product` is the Kling product to which the tasks belong.

    The keys leave this object only as bearer tokens, and only to the API's host.
    """

    conn_name_attr = "kling_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "kling"
    hook_name = "Kling AI"

    def __init__(
        self,
        kling_conn_id: str = DEFAULT_CONN_ID,
        *,
        retry_wait: float = flows.RETRY_WAIT,
        product: Product = EFFECTS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kling_conn_id = kling_conn_id
        self.retry_wait = retry_wait
        self.product = product
        self._settings: KlingSettings | None = None
        self._client: Client | None = None
        self._async_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncClient] = WeakKeyDictionary()

    # --- Tasks

    def create_task(
        self,
        request: TaskRequest,
        *,
        external_task_id: str | None = None,
        callback_url: str | None = None,
        adopt_existing: bool = False,
    ) -> Task:
        """Create the task of this request once, and return it in its state after the create.

        Without an `external_task_id`, a random one is used, so that even after a lost response no second task is created.
        With `adopt_existing`, the id is looked up before anything is sent. A task that exists under the id is returned
        instead of a new one, unless it failed: then the next id (`…-2`) is used.
        Raises KlingSlotsFullError or KlingBusyError if nothing was created because the account is busy.
        """
        return self.run(*self._create(request, external_task_id, callback_url, adopt_existing))

    async def acreate_task(
        self,
        request: TaskRequest,
        *,
        external_task_id: str | None = None,
        callback_url: str | None = None,
        adopt_existing: bool = False,
    ) -> Task:
        return await self.arun(*self._create(request, external_task_id, callback_url, adopt_existing))

    def get_task(self, any_id: str) -> Task:
        """The task with this Kling task id or external id. Raises KlingTaskNotFound if there is none."""
        return self._read(get_call(self.product, any_id))

    async def aget_task(self, any_id: str) -> Task:
        return await self._aread(get_call(self.product, any_id))

    def find_task(self, external_id: str) -> Task | None:
        """The task with this external id, if there is one."""
        return self.run(flows.find(self.product, external_id), call_deadline(self.settings))

    async def afind_task(self, external_id: str) -> Task | None:
        return await self.arun(flows.find(self.product, external_id), call_deadline(await self.asettings()))

    def list_tasks(self, page_num: int = 1, page_size: int = DEFAULT_PAGE_SIZE) -> list[Task]:
        """Page 1 to 1000 of the account's tasks, with 1 to 500 tasks on a page. Do not rely on their order."""
        return self._read(list_call(self.product, page_num=page_num, page_size=page_size))

    async def alist_tasks(self, page_num: int = 1, page_size: int = DEFAULT_PAGE_SIZE) -> list[Task]:
        return await self._aread(list_call(self.product, page_num=page_num, page_size=page_size))

    def wait_for_task(self, kling_task_id: str, *, timeout: float = 3600.0, poll_interval: float = POLL_INTERVAL) -> Task:
        """Wait until the task has succeeded or failed, and return it. Raises KlingTimeoutError after `timeout` seconds."""
        deadline = monotonic_now() + timeout
        flow = flows.wait(self.product, kling_task_id, deadline=deadline, poll_interval=poll_interval)
        return self.run(flow, deadline=last_answer_by(deadline))

    async def await_for_task(self, kling_task_id: str, *, timeout: float = 3600.0, poll_interval: float = POLL_INTERVAL) -> Task:
        deadline = time.time() + timeout
        async with self.dispatched(self.kling_conn_id, self.product) as account:
            return await account.wait(kling_task_id, deadline=deadline, poll_interval=poll_interval, log=self.log.info)

    def save_videos(self, task: Task, destination: str, *, timeout: float = SAVE_TIMEOUT) -> list[str]:
        """Save the videos of a succeeded task under this folder or URI, within `timeout` seconds. Returns their paths, in order.

        An existing file is not downloaded again, and a dead link is renewed once. Raises KlingDownloadError.
        """
        return self.run(flows.save(self.product, task, destination), deadline=monotonic_now() + timeout)

    async def asave_videos(self, task: Task, destination: str, *, timeout: float = SAVE_TIMEOUT) -> list[str]:
        return await self.arun(flows.save(self.product, task, destination), deadline=monotonic_now() + timeout)

    def read_callback(self, body: bytes, headers: Mapping[str, str]) -> Task:
        """The task in a callback from Kling, after its signature is verified with the connection's `webhook_secret`.

        Raises KlingSettingsError without a secret, KlingAnswerError for a signature that is wrong or older than five
        minutes, and for a body that is not a task. Callbacks can be repeated, late or out of order: query the task before
        money or files depend on it.
        """
        return verified_task(self.settings, body, headers)

    async def aread_callback(self, body: bytes, headers: Mapping[str, str]) -> Task:
        return verified_task(await self.asettings(), body, headers)

    # --- Account

    def get_resource_packs(
        self, start: pendulum.DateTime | None = None, end: pendulum.DateTime | None = None, name: str | None = None
    ) -> list[ResourcePack]:
        """The account's resource packs of a period (default: the last year). At most one call per second."""
        return self._read(packs_call(start, end, name))

    async def aget_resource_packs(
        self, start: pendulum.DateTime | None = None, end: pendulum.DateTime | None = None, name: str | None = None
    ) -> list[ResourcePack]:
        return await self._aread(packs_call(start, end, name))

    def test_connection(self) -> tuple[bool, str]:
        """Whether the credentials work, and a text: if they do not, what is wrong. Reads one task, which costs nothing."""
        try:
            self._read(list_call(self.product, page_size=1), tries=1)
            return True, f"Kling accepts the credentials at {self.settings.base_url}."
        except KlingError as error:
            return False, str(error)
        finally:
            self.close()

    async def atest_connection(self) -> tuple[bool, str]:
        try:
            await self._aread(list_call(self.product, page_size=1), tries=1)
            return True, f"Kling accepts the credentials at {(await self.asettings()).base_url}."
        except KlingError as error:
            return False, str(error)
        finally:
            await self.aclose()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """The connection form of Airflow 3.1. Airflow 3.2 and later use the provider's metadata."""
        return UI_FIELD_BEHAVIOUR

    # --- Settings and clients

    @property
    def settings(self) -> KlingSettings:
        """The settings of the connection, which is read once. Raises KlingInputError if it cannot work."""
        if self._settings is None:
            with self._convert_missing():
                self._settings = KlingSettings.of(self.get_connection(self.kling_conn_id))
        return self._settings

    async def asettings(self) -> KlingSettings:
        """The same settings, read without blocking the event loop."""
        if self._settings is None:
            from airflow.providers.common.compat.connection import get_async_connection

            with self._convert_missing():
                self._settings = KlingSettings.of(await get_async_connection(self.kling_conn_id, self))
        return self._settings

    @contextlib.contextmanager
    def _convert_missing(self) -> Iterator[None]:
        """Raise KlingSettingsError if the connection is not defined: the results of rows report only a KlingError."""
        try:
            yield
        except AirflowNotFoundException as error:
            raise KlingSettingsError(f"Connection {self.kling_conn_id!r} is not defined; wanted is one of type kling.") from error

    def get_conn(self) -> Client:
        """The client of this hook. Its sessions are kept alive."""
        if self._client is None:
            from airflow_provider_kling.client import Attempts, Client, LevelLog

            attempts = Attempts(self.settings, retry_wait=self.retry_wait, hide=mask_secret)
            self._client = Client(attempts, log=LevelLog(self.log))
        return self._client

    async def aget_conn(self) -> AsyncClient:
        """The client of this hook for the running event loop."""
        from airflow_provider_kling.client import AsyncClient, Attempts, LevelLog

        settings = await self.asettings()
        loop = asyncio.get_running_loop()
        if loop not in self._async_clients:
            attempts = Attempts(settings, retry_wait=self.retry_wait, hide=mask_secret)
            self._async_clients[loop] = AsyncClient(attempts, log=LevelLog(self.log))
        return self._async_clients[loop]

    def run(self, flow: flows.Flow[T], deadline: float | None = None) -> T:
        """Run a flow to its end, and return its result. Nothing outlives `deadline`, on the monotonic clock."""
        return self.get_conn().run(flow, deadline=deadline)

    async def arun(self, flow: flows.Flow[T], deadline: float | None = None) -> T:
        return await (await self.aget_conn()).run(flow, deadline=deadline)

    def _read(self, call: Call[T], **options: Any) -> T:
        """Send a call that no caller bounds, within the limit of one call."""
        return self.get_conn().send(call, deadline=call_deadline(self.settings), **options)

    async def _aread(self, call: Call[T], **options: Any) -> T:
        client = await self.aget_conn()
        return await client.send(call, deadline=call_deadline(client.settings), **options)

    @classmethod
    def dispatched(
        cls, kling_conn_id: str = DEFAULT_CONN_ID, product: Product = EFFECTS
    ) -> AbstractAsyncContextManager[Dispatcher]:
        """The account's dispatcher, shared by all of this event loop: one queue for the slots, one poller for all waiters."""
        from airflow_provider_kling.dispatch import shared  # a worker that only defers does not need it

        return shared((kling_conn_id, product.name), product, lambda: cls(kling_conn_id, product=product).aget_conn())

    def close(self) -> None:
        """Close the sessions. The hook opens new ones when it is used again."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def aclose(self) -> None:
        """Close the sessions of this event loop."""
        if client := self._async_clients.pop(asyncio.get_running_loop(), None):
            await client.close()

    def __enter__(self) -> KlingHook:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> KlingHook:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def _create(
        self, request: TaskRequest, external_task_id: str | None, callback_url: str | None, adopt_existing: bool
    ) -> tuple[flows.Flow[Task], float]:
        return create_flow(
            self.product,
            request,
            external_task_id=external_task_id,
            callback_url=callback_url,
            adopt_existing=adopt_existing,
            retry_wait=self.retry_wait,
        )
