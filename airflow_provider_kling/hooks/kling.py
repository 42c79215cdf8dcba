"""KlingHook: a Kling account, as an Airflow connection names it."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import pendulum
import tenacity
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_provider_kling import storage
from airflow_provider_kling.api import (
    DEFAULT_PAGE_SIZE,
    MAX_PAGE_SIZE,
    Call,
    EffectRequest,
    ResourcePack,
    Task,
    callback_task,
    costs_call,
    get_call,
    list_call,
)
from airflow_provider_kling.client import CheckCapacity, Flow, KlingSettings, LoadRequest, SaveVideo, Sleep, Step, Submission, flows
from airflow_provider_kling.errors import (
    KlingAnswerError,
    KlingAuthError,
    KlingError,
    KlingSettingsError,
    KlingSlotsFullError,
    KlingTokenTimeError,
)
from airflow_provider_kling.get_provider_info import UI_FIELD_BEHAVIOUR

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_kling.client import AiohttpTransport, RequestsTransport
    from airflow_provider_kling.dispatch import Dispatcher

T = TypeVar("T")

DEFAULT_CONN_ID = "kling_default"
POLL_INTERVAL = 10.0  # seconds; tasks take minutes
READ_TRIES = 5
LONGEST_READ_PAUSE = 30.0  # seconds


class KlingHook(BaseHook):
    """Creates, finds and awaits Kling tasks, and saves their videos; each method has an async twin with an `a` in front.

    Reads are repeated over passing faults, with growing, jittered pauses from `retry_wait` seconds, and as long as the
    server asks for. A create is never repeated blindly: `flows.create` says how. All errors are of `errors.KlingError`.

    The keys never leave this object but as bearer tokens to the API's own host.
    """

    conn_name_attr = "kling_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "kling"
    hook_name = "Kling AI"

    def __init__(self, kling_conn_id: str = DEFAULT_CONN_ID, *, retry_wait: float = flows.RETRY_WAIT, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kling_conn_id = kling_conn_id
        self.retry_wait = retry_wait
        self._settings: KlingSettings | None = None
        self._transport: RequestsTransport | None = None
        self._async_transports: WeakKeyDictionary[asyncio.AbstractEventLoop, AiohttpTransport] = WeakKeyDictionary()
        self._last_token = ""

    # --- Tasks

    def create_task(
        self,
        request: EffectRequest,
        *,
        external_task_id: str | None = None,
        callback_url: str | None = None,
        adopt_existing: bool = False,
    ) -> Task:
        """Make the task of this request, once, and return it as it is then.

        Without an `external_task_id` a random one is used, so that a lost answer still does not lead to a second task.
        With `adopt_existing` a task of that id is looked for before anything is sent. A task found under the id is
        returned instead of a new one, unless it failed: then the next id (`…-2`) is used.
        Raises KlingSlotsFullError or KlingBusyError when nothing was made because the account is busy.
        """
        return self.run(self._create(request, external_task_id, callback_url, adopt_existing))

    async def acreate_task(
        self,
        request: EffectRequest,
        *,
        external_task_id: str | None = None,
        callback_url: str | None = None,
        adopt_existing: bool = False,
    ) -> Task:
        return await self.arun(self._create(request, external_task_id, callback_url, adopt_existing))

    def get_task(self, any_id: str) -> Task:
        """The task with this Kling task id or external id; KlingTaskNotFound if there is none."""
        return self._send(get_call(any_id))

    async def aget_task(self, any_id: str) -> Task:
        return await self.acall(get_call(any_id))

    def find_task(self, external_id: str) -> Task | None:
        """The task with this external id, if there is one."""
        return self.run(flows.find(external_id))

    async def afind_task(self, external_id: str) -> Task | None:
        return await self.arun(flows.find(external_id))

    def list_tasks(self, page_num: int = 1, page_size: int = DEFAULT_PAGE_SIZE) -> list[Task]:
        """One page of the account's tasks (1 to 1000, of 1 to 500), in no order that may be relied on."""
        return self._send(list_call(page_num=page_num, page_size=page_size))

    async def alist_tasks(self, page_num: int = 1, page_size: int = DEFAULT_PAGE_SIZE) -> list[Task]:
        return await self.acall(list_call(page_num=page_num, page_size=page_size))

    def wait_for_task(self, kling_task_id: str, *, timeout: float = 3600.0, poll_interval: float = POLL_INTERVAL) -> Task:
        """The task, once it has succeeded or failed; KlingTimeoutError after `timeout` seconds."""
        return self.run(flows.wait(kling_task_id, deadline=time.time() + timeout, poll_interval=poll_interval, say=self.log.info))

    async def await_for_task(self, kling_task_id: str, *, timeout: float = 3600.0, poll_interval: float = POLL_INTERVAL) -> Task:
        async with self.dispatched(self.kling_conn_id) as account:
            return await account.wait(kling_task_id, deadline=time.time() + timeout, poll_interval=poll_interval, say=self.log.info)

    def save_videos(self, task: Task, destination: str) -> list[str]:
        """Store the videos of a succeeded task under this folder or URI; returns their paths, in order.

        A file that is there already is not loaded again. Raises KlingDownloadError; a dead link is renewed first.
        """
        return self.run(flows.save(task, say=self.log.info), destination=destination)

    async def asave_videos(self, task: Task, destination: str) -> list[str]:
        return await self.arun(flows.save(task, say=self.log.info), destination=destination)

    def read_callback(self, body: bytes, headers: Mapping[str, str]) -> Task:
        """The task in a callback that Kling posted, its signature proved with the connection's `webhook_secret`.

        Raises KlingSettingsError without a secret, KlingAnswerError for a signature that is wrong or older than five
        minutes, and for a body that is no task. Callbacks come repeated, late and in disorder: ask for the task before
        money or files depend on it.
        """
        return _proved(self.settings, self.kling_conn_id, body, headers)

    async def aread_callback(self, body: bytes, headers: Mapping[str, str]) -> Task:
        return _proved(await self.asettings(), self.kling_conn_id, body, headers)

    # --- Account

    def get_resource_packs(
        self, start: pendulum.DateTime | None = None, end: pendulum.DateTime | None = None, name: str | None = None
    ) -> list[ResourcePack]:
        """The account's resource packs of a span of time (default: the last year). At most one call per second."""
        return self._send(_costs(start, end, name))

    async def aget_resource_packs(
        self, start: pendulum.DateTime | None = None, end: pendulum.DateTime | None = None, name: str | None = None
    ) -> list[ResourcePack]:
        return await self.acall(_costs(start, end, name))

    def test_connection(self) -> tuple[bool, str]:
        """Whether the credentials work, and in words what is wrong if not. Reads one task of the list; spends nothing."""
        try:
            self._send(list_call(page_size=1), tries=1)
            return True, f"Kling accepts the credentials at {self.settings.base_url}."
        except KlingError as error:
            return False, str(error)
        finally:
            self.close()

    async def atest_connection(self) -> tuple[bool, str]:
        try:
            await self.acall(list_call(page_size=1), tries=1)
            return True, f"Kling accepts the credentials at {(await self.asettings()).base_url}."
        except KlingError as error:
            return False, str(error)
        finally:
            await self.aclose()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """The connection form of Airflow 3.1; from 3.2 on the provider's metadata makes it."""
        return UI_FIELD_BEHAVIOUR

    # --- Settings and sessions

    @property
    def settings(self) -> KlingSettings:
        """The connection, read once. KlingInputError where it cannot work."""
        if self._settings is None:
            with self._defined():
                self._settings = KlingSettings.of(self.get_connection(self.kling_conn_id))
        return self._settings

    async def asettings(self) -> KlingSettings:
        """The same, where an event loop must not be blocked."""
        if self._settings is None:
            from airflow.providers.common.compat.connection import get_async_connection

            with self._defined():
                self._settings = KlingSettings.of(await get_async_connection(self.kling_conn_id, self))
        return self._settings

    async def most_slots(self) -> int | None:
        """How many slots the connection's user lets be used."""
        return (await self.asettings()).max_concurrency

    def get_conn(self) -> RequestsTransport:
        """The keep-alive sessions of this hook."""
        from airflow_provider_kling.client import RequestsTransport

        if self._transport is None:
            self._transport = RequestsTransport(self.settings)
        return self._transport

    def close(self) -> None:
        """End the sessions. The hook can be used again."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    async def aclose(self) -> None:
        """End the sessions of this event loop."""
        if transport := self._async_transports.pop(asyncio.get_running_loop(), None):
            await transport.close()

    def __enter__(self) -> KlingHook:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> KlingHook:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    # --- Driving flows

    @classmethod
    def dispatched(cls, kling_conn_id: str = DEFAULT_CONN_ID) -> AbstractAsyncContextManager[Dispatcher]:
        """The account as all of this event loop share it: one queue for its slots, one poller for all who wait."""
        from airflow_provider_kling.dispatch import dispatcher  # of no use to a worker that defers

        return dispatcher.shared(kling_conn_id, lambda: cls(kling_conn_id))

    def run(self, steps: Flow[T], *, destination: str = "") -> T:
        """Do the steps of a flow, one after the other, and return what it comes to."""
        step = next(steps, None)
        try:
            while True:
                try:
                    done = self._do(step, destination)
                except KlingError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(done)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def arun(self, steps: Flow[T], *, destination: str = "", do: Callable[[Step], Awaitable[Any]] | None = None) -> T:
        """The same on an event loop. Flow are done by `do`, if it is given, instead of `astep`."""
        step = next(steps, None)
        try:
            while True:
                try:
                    done = await (do(step) if do and step else self.astep(step, destination))
                except KlingError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(done)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _do(self, step: Step | None, destination: str) -> Any:
        match step:
            case Call():
                return self._send(step)
            case CheckCapacity():
                if self.settings.max_concurrency:
                    self._check_room(self._send(list_call(page_size=MAX_PAGE_SIZE)))
                return None
            case Sleep(seconds):
                time.sleep(seconds)
                return time.time()
            case LoadRequest(read):
                return read()
            case SaveVideo(url, name):
                return self._save(url, storage.storage_path(destination) / name)
        raise TypeError(f"not a step: {step!r}")

    async def astep(self, step: Step | None, destination: str = "") -> Any:
        """Do one step of a flow, and bring what comes of it."""
        match step:
            case Call():
                return await self.acall(step)
            case CheckCapacity():
                if (await self.asettings()).max_concurrency:
                    self._check_room(await self.acall(list_call(page_size=MAX_PAGE_SIZE)))
                return None
            case Sleep(seconds):
                await asyncio.sleep(seconds)
                return time.time()
            case LoadRequest(read):
                return await asyncio.to_thread(read)
            case SaveVideo(url, name):
                return await self._asave(url, storage.storage_path(destination) / name)
        raise TypeError(f"not a step: {step!r}")

    def _create(
        self, request: EffectRequest, external_task_id: str | None, callback_url: str | None, adopt_existing: bool
    ) -> Flow[Task]:
        submission = Submission(
            request=request, external_id=external_task_id or f"kling-{uuid.uuid4().hex}", callback_url=callback_url
        )
        return flows.create(submission, adopt_existing=adopt_existing, say=self.log.info, retry_wait=self.retry_wait)

    def _check_room(self, tasks: list[Task]) -> None:
        """Refuse a create where the account's tasks already fill `max_concurrency`, as Kling refuses one without a slot.

        It counts before it creates: of several processes that do so in the same moment, each may come to one more.
        """
        most, running = self.settings.max_concurrency, sum(not task.done for task in tasks)
        if most is not None and running >= most:
            message = f"max_concurrency is {most}, and {running} tasks are running"
            raise KlingSlotsFullError(message, code=1303, speaker=f"Connection {self.kling_conn_id}")

    # --- One step

    def _send(self, call: Call[T], *, tries: int = READ_TRIES) -> T:
        transport = self.get_conn()
        with self._explained():
            for attempt in tenacity.Retrying(**self._policy(tries if call.safe else 1)):
                with attempt:
                    return call.read(transport.send(call, self._token()))
        raise AssertionError("unreachable")

    async def acall(self, call: Call[T], *, tries: int = READ_TRIES) -> T:
        """What the API answers to one call; a read is tried so often, a create once."""
        transport = await self._aget_conn()
        with self._explained():
            async for attempt in tenacity.AsyncRetrying(**self._policy(tries if call.safe else 1)):
                with attempt:
                    return call.read(await transport.send(call, self._token()))
        raise AssertionError("unreachable")

    def _save(self, url: str, path: ObjectStoragePath) -> str:
        if storage.is_there(path):
            self.log.info("%s is there already.", storage.shown(path))
            return storage.shown(path)
        for attempt in tenacity.Retrying(**self._policy(READ_TRIES)):
            with attempt, storage.writing_video(path) as file:
                self.get_conn().fetch(url, file.write)
        self.log.info("Saved %s.", storage.shown(path))
        return storage.shown(path)

    async def _asave(self, url: str, path: ObjectStoragePath) -> str:
        if await asyncio.to_thread(storage.is_there, path):
            return storage.shown(path)
        transport = await self._aget_conn()
        async for attempt in tenacity.AsyncRetrying(**self._policy(READ_TRIES)):
            with attempt:
                async with storage.awriting_video(path) as file:
                    await transport.fetch(url, file.write)
        self.log.info("Saved %s.", storage.shown(path))
        return storage.shown(path)

    def _policy(self, tries: int) -> dict[str, Any]:
        """How often in all, and how long apart, one step is tried. A token's time is mended once on top of that."""
        renewed = False

        def again(state: tenacity.RetryCallState) -> bool:
            nonlocal renewed
            error = state.outcome.exception() if state.outcome else None
            if isinstance(error, KlingTokenTimeError):
                was, renewed = renewed, True
                return not was and self.settings.credentials.forget()
            return isinstance(error, KlingError) and error.retryable and state.attempt_number < tries

        def pause(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            if isinstance(error, KlingTokenTimeError):
                return 0.0
            return max(getattr(error, "retry_after", None) or 0.0, growing(state))

        growing = tenacity.wait_random_exponential(multiplier=self.retry_wait, max=LONGEST_READ_PAUSE)
        return {"retry": again, "wait": pause, "reraise": True}

    def _token(self) -> str:
        token = self.settings.credentials.token(time.time())
        if token != self._last_token:
            mask_secret(token)
            self._last_token = token
        return token

    @contextlib.contextmanager
    def _defined(self) -> Iterator[None]:
        """A connection that is nowhere defined is an error of ours too, with a word for the row."""
        try:
            yield
        except AirflowNotFoundException as error:
            raise KlingSettingsError(f"Connection {self.kling_conn_id!r} is not defined; wanted is one of type kling.") from error

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """A new token was refused as well: say how far the clocks are apart, as far as the answer tells."""
        try:
            yield
        except KlingTokenTimeError as error:
            advice = error.advice
            if error.server_time is not None and self.settings.credentials.forget():
                ahead = time.time() - error.server_time.timestamp()
                side = "ahead of" if ahead > 0 else "behind"
                clock = f"this machine's clock is {abs(ahead):.0f} s {side} the server's"
                advice = f"A newly signed token was refused as well; {clock}. {advice}"
            raise KlingAuthError(
                error.message, code=error.code, http_status=error.http_status, request_id=error.request_id, advice=advice
            ) from error

    async def _aget_conn(self) -> AiohttpTransport:
        from airflow_provider_kling.client import AiohttpTransport

        settings = await self.asettings()
        loop = asyncio.get_running_loop()
        if loop not in self._async_transports:
            self._async_transports[loop] = AiohttpTransport(settings)
        return self._async_transports[loop]


def _proved(settings: KlingSettings, conn_id: str, body: bytes, headers: Mapping[str, str]) -> Task:
    if not settings.webhook_secret:
        raise KlingSettingsError(
            f"Connection {conn_id!r} has no webhook_secret; wanted is the one that Kling signs callbacks with."
        )
    try:
        from standardwebhooks import Webhook, WebhookVerificationError
    except ImportError as error:
        raise KlingSettingsError("Reading callbacks needs standardwebhooks: install airflow-provider-kling[webhooks].") from error
    try:
        Webhook(settings.webhook_secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError) as error:
        refused = KlingAnswerError(f"A callback is not signed as it should be: {error}.")
        refused.retryable = False
        raise refused from error
    return callback_task(body)


def _costs(start: pendulum.DateTime | None, end: pendulum.DateTime | None, name: str | None) -> Call[list[ResourcePack]]:
    end = end or pendulum.now("UTC")
    return costs_call(start=start or end.subtract(years=1), end=end, name=name)
