"""One submission on its way to a task: in its turn, and never beyond its deadline.

What is sent, and what a response means, is decided in `client.flows`. Here its steps are taken: those that concern slots
with the account's queue, all others by the client.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.api import Call, Product, Task, get_call
from airflow_provider_kling.client import Submission, flows, format_seconds, monotonic_now
from airflow_provider_kling.dispatch.cutoff import cut_off
from airflow_provider_kling.dispatch.slots import SlotRequest
from airflow_provider_kling.dispatch.state import LAST_POLL, AccountState
from airflow_provider_kling.errors import KlingBusyError, KlingSlotsFullError, KlingTaskNotFound, KlingTimeoutError

if TYPE_CHECKING:
    from airflow_provider_kling.client import AsyncClient

PATIENCE = 2.0  # seconds in the queue before the log says that a submission waits for a slot
LOG_INTERVAL = 300.0  # seconds between two log lines that say nothing new
LOAD_WITH_GRANT = 5.0  # seconds for which a request keeps its grant while its images are loaded; then others use it


class Creation:
    """Creates or adopts the task of one submission. `deadline` is by the event loop's clock.

    `changed` is called after each report to the account's state.
    """

    def __init__(
        self,
        client: AsyncClient,
        product: Product,
        state: AccountState,
        submission: Submission,
        *,
        deadline: float,
        group: str,
        log: Callable[[str], object],
        changed: Callable[[], None],
    ) -> None:
        self._client, self._product, self._state = client, product, state
        self._submission, self._deadline = submission, deadline
        self._log, self._changed = log, changed
        self._request = SlotRequest(group)
        self._absent: Call[Any] | None = None  # the lookup that the list has answered: there is no such task

    async def run(self) -> Task:
        """The task; see `flows.create_when_free`."""
        await self._ask_list()
        flow = flows.create_when_free(self._product, self._submission, deadline=self._deadline)
        try:
            return await self._client.run(flow, log=self._log, take=self._take)
        finally:
            self._state.leave(self._request)
            self._changed()

    async def _ask_list(self) -> None:
        """Where an earlier attempt may have created the task, the account's list may spare the first lookup by id."""
        if not self._submission.adopt_existing or self._state.absence.unprovable:
            return
        external_id = next(iter(self._submission.external_ids()))
        lookup = self._state.ask(external_id, now=monotonic_now(), deadline=self._deadline)
        self._changed()
        try:
            if await lookup.answer:
                self._absent = get_call(self._product, external_id)
        finally:
            self._state.withdraw(lookup)

    async def _take(self, step: flows.Step) -> Any:
        match step:
            case flows.CheckCapacity():
                await self._turn()
                if not self._request.granted:
                    raise KlingSlotsFullError("all slots of the account are taken", code=1303, speaker="The queue")
                return None
            case flows.Sleep(_, for_slot=True) if not self._request.granted:
                await self._turn()
                return monotonic_now()
            case flows.Sleep(seconds, for_slot=for_slot):
                if for_slot:  # a lookup got code 1303: others use the grant meanwhile
                    self._state.leave(self._request)
                    self._changed()
                await asyncio.sleep(max(0.0, min(seconds, self._deadline - monotonic_now())))
                return monotonic_now()
            case flows.LoadRequest():
                return await self._load(step)
            case Call(safe=False):
                return await self._create(step)
            case Call():
                return await self._look_up(step)
        return await self._client.take(step)

    # --- The queue

    async def _turn(self) -> None:
        """Wait in the queue until the request is granted, or until its deadline."""
        request, started = self._request, monotonic_now()
        if request.granted:
            return
        request.turn = turn = asyncio.get_running_loop().create_future()
        self._state.join(request, deadline=self._deadline)
        self._changed()
        pause = PATIENCE
        while not turn.done():
            await asyncio.wait([turn], timeout=pause)
            if not turn.done():
                self._log_wait(monotonic_now() - started)
            pause = LOG_INTERVAL
        if request.error is not None:
            raise copy.copy(request.error)

    def _log_wait(self, waited: float) -> None:
        slots = self._state.slots
        why = "All slots of the account are taken" if slots.short else "Others create first"
        if slots.short and slots.user_limit_reached:
            why = f"The connection's max_concurrency of {slots.max_concurrency} is reached"
        left = format_seconds(max(0.0, self._deadline - monotonic_now()))
        self._log(f"{why}: waiting, {format_seconds(waited)} so far, at most {left} more.")

    # --- Images, lookups, the create

    async def _load(self, step: flows.LoadRequest) -> Any:
        """Load the images. If that takes long, others use the grant meanwhile, and this request is granted another one."""
        loading = asyncio.ensure_future(self._client.take(step))
        try:
            await asyncio.wait([loading], timeout=LOAD_WITH_GRANT)
            if not loading.done():
                self._state.leave(self._request)
                self._changed()
                await asyncio.wait([loading], timeout=max(0.0, self._deadline - monotonic_now()))
            if not loading.done():
                raise KlingTimeoutError("The images could not be loaded before the timeout. Nothing was sent.")
            request = loading.result()
        finally:
            loading.cancel()
        if not self._request.granted:
            self._request.refused = True  # its place is at the front
            await self._turn()
        if not self._request.granted:
            raise KlingSlotsFullError("all slots of the account are taken", code=1303, speaker="The queue")
        return request

    async def _look_up(self, call: Call[Any]) -> Any:
        if self._absent is not None and self._absent.path == call.path:
            self._absent = None
            raise KlingTaskNotFound("the list of tasks does not show this id", code=1201, http_status=400)
        until = self._deadline + LAST_POLL
        return await cut_off(self._client.send(call, deadline=until), until, sent=False)

    async def _create(self, call: Call[Any]) -> Any:
        external_id, state = str((call.body or {}).get("external_task_id")), self._state
        state.creating.add(external_id)
        try:
            task = await cut_off(self._client.send(call, deadline=self._deadline), self._deadline)
        except KlingSlotsFullError:
            state.refused(self._request, now=monotonic_now())
            raise
        except KlingBusyError as error:
            seconds = error.retry_after or flows.SLOT_PAUSE
            state.slots.hold_off(self._request, now=monotonic_now(), seconds=seconds)
            raise
        else:
            state.accepted(self._request, task, external_id, now=monotonic_now())
            return task
        finally:
            state.leave(self._request)
            state.creating.discard(external_id)
            self._changed()
