"""The connection of a hook: its settings, its clients, and how they run calls and flows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_provider_kling import api, metrics
from airflow_provider_kling.client import KlingSettings, flows, monotonic_now
from airflow_provider_kling.errors import KlingSettingsError
from airflow_provider_kling.get_provider_info import UI_FIELD_BEHAVIOUR
from airflow_provider_kling.hooks.calls import call_deadline
from airflow_provider_kling.hooks.spending import spending_of, with_default_caps

if TYPE_CHECKING:
    from typing_extensions import Self

    from airflow_provider_kling.api import Call, Product
    from airflow_provider_kling.client import AsyncClient, Client
    from airflow_provider_kling.dispatch import Dispatcher
    from airflow_provider_kling.metrics import Sink, Span

T = TypeVar("T")

DEFAULT_CONN_ID = "kling_default"

LOOKUP_PATIENCE = 300.0  # seconds in which one who waits looks for a connection that is not found
FIRST_LOOKUP_PAUSE, LONGEST_LOOKUP_PAUSE = 1.0, 30.0  # seconds between two looks, doubled each time


class ConnectionHook(BaseHook):
    """A Kling connection with its sessions, which are opened when they are first used. A context manager, sync and async.

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
        product: Product | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kling_conn_id = kling_conn_id
        self.retry_wait = retry_wait
        self._product = product
        self._settings: KlingSettings | None = None
        self._lookups: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
        self._client: Client | None = None
        self._async_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncClient] = WeakKeyDictionary()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """The connection form of Airflow 3.1. Airflow 3.2 and later use the provider's metadata."""
        return UI_FIELD_BEHAVIOUR

    @property
    def product(self) -> Product:
        """The product to which the tasks belong: video effects, unless another one was given."""
        return self._product or api.EFFECTS  # what only hands a connection on needs no product

    # --- Settings and clients

    @property
    def settings(self) -> KlingSettings:
        """The settings of the connection, which is read once. Raises KlingInputError if it cannot work."""
        if self._settings is None:
            with self._convert_missing():
                self._settings = with_default_caps(KlingSettings.of(self.get_connection(self.kling_conn_id)))
        return self._settings

    async def asettings(self) -> KlingSettings:
        """The same settings, read without blocking the event loop. Callers at the same time share one lookup."""
        if self._settings is None:
            async with self._lookups.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
                self._settings = self._settings or await self._look_up()
        return self._settings

    async def _look_up(self) -> KlingSettings:
        """Read the settings. One at a time: with several, Airflow 3.1 mixes up its answers, and finds no connection."""
        from airflow.providers.common.compat.connection import get_async_connection

        with self._convert_missing():
            return with_default_caps(KlingSettings.of(await get_async_connection(self.kling_conn_id, self)))

    async def settings_in_time(self) -> KlingSettings:
        """The same settings, for one who waits anyway: a connection that is not found is looked for again for five minutes."""
        pause, end = FIRST_LOOKUP_PAUSE, monotonic_now() + LOOKUP_PATIENCE
        while True:
            try:
                return await self.asettings()
            except KlingSettingsError as error:
                if not error.not_found:
                    raise
                if monotonic_now() + pause > end:
                    error.needs_new_try = True
                    raise
                text = "%s Airflow says the same while its database or a secrets backend is away: looking again in %.0f s."
                self.log.warning(text, error, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_LOOKUP_PAUSE)

    @contextlib.contextmanager
    def _convert_missing(self) -> Iterator[None]:
        """Raise KlingSettingsError if no connection is found: the results of rows report only a KlingError.

        Airflow says the same of one that nobody defined and of one that it could not ask for, because its API server, its
        database or a secrets backend was away: `_get_connection` in `airflow.sdk.execution_time.context` drops every error.
        """
        try:
            yield
        except AirflowNotFoundException as error:
            missing = KlingSettingsError(f"Connection {self.kling_conn_id!r} is not defined; wanted is one of type kling.")
            missing.not_found = True
            raise missing from error

    def get_conn(self) -> Client:
        """The client of this hook. Its sessions are kept alive."""
        if self._client is None:
            from airflow_provider_kling.client import Attempts, Client, LevelLog
            from airflow_provider_kling.hooks.telemetry import AirflowSink  # what only hands a connection on has no client

            settings = self.settings
            attempts = Attempts(settings, retry_wait=self.retry_wait, hide=mask_secret)
            self._client = Client(attempts, log=LevelLog(self.log), sink=AirflowSink(), spending=spending_of(settings))
        return self._client

    async def aget_conn(self) -> AsyncClient:
        """The client of this hook for the running event loop."""
        from airflow_provider_kling.client import AsyncClient, Attempts, LevelLog
        from airflow_provider_kling.hooks.telemetry import AirflowSink

        settings = await self.asettings()
        loop = asyncio.get_running_loop()
        if loop not in self._async_clients:
            attempts = Attempts(settings, retry_wait=self.retry_wait, hide=mask_secret)
            log = LevelLog(self.log)
            self._async_clients[loop] = AsyncClient(attempts, log=log, sink=AirflowSink(), spending=spending_of(settings))
        return self._async_clients[loop]

    def run(self, flow: flows.Flow[T], deadline: float | None = None, *, span: str | None = None) -> T:
        """Run a flow to its end, and return its result. Nothing outlives `deadline`, on the monotonic clock.

        `span` names the span of a trace around it.
        """
        client = self.get_conn()
        with self._span(client.sink, span) as opened:
            result = client.run(flow, deadline=deadline)
            opened.set(**_ids(result))
            return result

    async def arun(self, flow: flows.Flow[T], deadline: float | None = None, *, span: str | None = None) -> T:
        client = await self.aget_conn()
        with self._span(client.sink, span) as opened:
            result = await client.run(flow, deadline=deadline)
            opened.set(**_ids(result))
            return result

    def _span(self, sink: Sink, name: str | None) -> AbstractContextManager[Span]:
        return sink.span(name, conn_id=self.kling_conn_id) if name else metrics.SILENT.span("")

    def _read(self, call: Call[T], **options: Any) -> T:
        """Send a call that no caller bounds, within the limit of one call."""
        return self.get_conn().send(call, deadline=call_deadline(self.settings), **options)

    async def _aread(self, call: Call[T], **options: Any) -> T:
        client = await self.aget_conn()
        return await client.send(call, deadline=call_deadline(client.settings), **options)

    @classmethod
    def dispatched(
        cls, kling_conn_id: str = DEFAULT_CONN_ID, product: Product | None = None
    ) -> AbstractAsyncContextManager[Dispatcher]:
        """The account's dispatcher, shared by all of this event loop: one queue for the slots, one poller for all waiters.

        A connection that Airflow does not find is looked for again for five minutes, before the context raises
        KlingSettingsError.
        """
        from airflow_provider_kling.dispatch import shared  # a worker that only defers does not need it

        product = product or api.EFFECTS

        async def connect() -> AsyncClient:
            hook = cls(kling_conn_id, product=product)
            await hook.settings_in_time()
            return await hook.aget_conn()

        return shared((kling_conn_id, product.name), product, connect)

    def close(self) -> None:
        """Close the sessions. The hook opens new ones when it is used again."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def aclose(self) -> None:
        """Close the sessions of this event loop."""
        if client := self._async_clients.pop(asyncio.get_running_loop(), None):
            await client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


def _ids(result: object) -> dict[str, str | None]:
    """The attributes of a span whose flow has brought a task."""
    if not isinstance(result, api.Task):
        return {}
    return {"kling_task_id": result.kling_task_id, "external_task_id": result.external_task_id, "status": result.status}
