"""One poll of an account: who is done.

A task takes minutes, and hundreds may wait in one triggerer. A query for each would be thousands of requests for nothing,
while one page of the list shows 500 tasks. So a poll is a sweep of the list, which answers for all; tasks that the sweep
does not show are queried singly, and so are succeeded ones whose videos the list leaves out. `list_reader` chooses the
pages, `plan` the moment.

A list that cannot be read does not hold up those whose tasks can be queried: the poll goes on with a few single queries.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_kling.api import Call, Product, get_call, page_call
from airflow_provider_kling.client import monotonic_now
from airflow_provider_kling.dispatch.absence import PAGES_FOR_ABSENCE
from airflow_provider_kling.dispatch.cutoff import cut_off
from airflow_provider_kling.dispatch.list_reader import ListReader, PageRequest, PageResult
from airflow_provider_kling.dispatch.state import AccountState, Poll
from airflow_provider_kling.dispatch.sweep import Sweep
from airflow_provider_kling.dispatch.watched import WatchedTask
from airflow_provider_kling.errors import KlingAnswerError, KlingError, KlingTaskNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kling.client import AsyncClient

T = TypeVar("T")
logger = logging.getLogger(__name__)

POLL_TRIES = 2  # of each request: a poll that fails is soon followed by the next
LONGEST_SWEEP = 15.0  # seconds for the list; what its pages have shown by then counts
LONGEST_POLL = 30.0  # seconds for all requests of a poll: meanwhile no other one notices who is done
SINGLES_AT_ONCE = 8
MOST_SINGLES = 40  # queries in one poll, of tasks that the sweep did not show
CHUNK = 500  # tasks whose waiters are notified in one go, before others get their turn on the event loop


class Poller:
    """Polls an account, and reports to its state what it has seen. `changed` is called after each report."""

    def __init__(self, client: AsyncClient, product: Product, state: AccountState, *, changed: Callable[[], None]) -> None:
        self._client, self._product, self._state, self._changed = client, product, state, changed
        self._list_reader = ListReader()
        self._unreachable = False  # the log says that Kling cannot be asked

    @property
    def _conn_id(self) -> str:
        return self._client.settings.conn_id

    async def poll(self, poll: Poll) -> None:
        """Take a poll from its start to its end. It ends in time, whatever the other side does."""
        try:
            await cut_off(self._poll(poll), poll.begun_at + LONGEST_POLL)
        except KlingError as error:
            await self._failed(poll, error)
        else:
            if self._unreachable:
                logger.info("Connection %s: Kling answers again.", self._conn_id)
            self._unreachable = False
        self._state.end_poll(poll, now=monotonic_now())

    async def _poll(self, poll: Poll) -> None:
        if not poll.sweeps:
            await self._query_singly(poll, poll.wanted)
            return
        sweep = Sweep(dict(poll.wanted), self._state.creating)
        try:
            await cut_off(self._sweep(poll, sweep), poll.begun_at + LONGEST_SWEEP)
        except KlingError as error:
            failures = self._state.sweep_failed()
            if not error.retryable or not sweep.missing:
                raise
            await self._query_few(poll, sweep.missing)
            if failures == 1:
                logger.warning(
                    "Connection %s: the list of tasks cannot be read at the moment, so only a few tasks are queried: %s",
                    self._conn_id,
                    error,
                )
        else:
            await self._query_singly(poll, sweep.missing)

    async def _failed(self, poll: Poll, error: KlingError) -> None:
        """A poll has failed. Each waiter gets a copy of the error, and decides what it means."""
        poll.error = error
        if not error.retryable:
            self._unreachable = False  # it has answered
            logger.warning("Connection %s: all waits end, because of this error: %s", self._conn_id, error)
            self._state.end_all(error)
            return
        if not self._unreachable:
            logger.warning("Connection %s: Kling cannot be asked at the moment: %s", self._conn_id, error)
        self._unreachable = True
        for number, task in enumerate(list(poll.wanted)):
            task.notify(copy.copy(error))
            if number % CHUNK == CHUNK - 1:
                await asyncio.sleep(0)

    # --- The list

    async def _sweep(self, poll: Poll, sweep: Sweep) -> None:
        """Read pages of the list."""
        pages = self._list_reader.pages(
            wanted=len(poll.wanted),
            running=self._state.slots.limit or 0,
            whole_up_to=PAGES_FOR_ABSENCE if poll.lookups else 0,
            shows_all_known=lambda: self._state.absence.shows_all_known(sweep),
            now=poll.begun_at,
        )
        try:
            request = next(pages)
            while True:
                request = pages.send(await self._read_page(poll, request, sweep))
        except StopIteration as end:
            sweep.whole = end.value
        self._state.swept(sweep, poll, now=monotonic_now())
        self._changed()

    async def _read_page(self, poll: Poll, request: PageRequest, sweep: Sweep) -> PageResult:
        page = await self._send(poll, page_call(self._product, page_num=request.number, page_size=request.size))
        missing_before, now = len(sweep.missing), monotonic_now()
        for task in page.tasks:
            sweep.add(task, self._state.observe(task, now))
        self._changed()  # now, not after the last page: a slot that became free is used meanwhile
        return PageResult(page.length, hits=missing_before - len(sweep.missing))

    # --- Single tasks

    async def _query_singly(self, poll: Poll, missing: Iterable[WatchedTask]) -> None:
        """Query these tasks one by one, and those whose videos the list left out; first those not seen for the longest time."""
        incomplete = [task for task in poll.wanted if task.ended and task.waiters]
        tasks = sorted(dict.fromkeys([*missing, *incomplete]), key=lambda task: task.polled_at)
        at_once = asyncio.Semaphore(SINGLES_AT_ONCE)

        async def query(task: WatchedTask) -> None:
            async with at_once:
                await self._query(poll, task)

        outcomes = await asyncio.gather(*map(query, tasks[:MOST_SINGLES]), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _query_few(self, poll: Poll, missing: Iterable[WatchedTask]) -> None:
        """The list could not be read. Query one task, and if that works some more."""
        first, *more = sorted(missing, key=lambda task: task.polled_at)
        await self._query(poll, first)
        await self._query_singly(poll, more[: SINGLES_AT_ONCE - 1])

    async def _query(self, poll: Poll, task: WatchedTask) -> None:
        try:
            found = await self._send(poll, get_call(self._product, task.query_id))
        except (KlingTaskNotFound, KlingAnswerError) as error:  # concerns this task alone
            poll.rejected.append(task)
            task.notify(error)
        else:
            self._state.observe(found, monotonic_now(), asked=task)
        self._changed()

    async def _send(self, poll: Poll, call: Call[T]) -> T:
        poll.requests += 1
        return await self._client.send(call, tries=POLL_TRIES, deadline=poll.begun_at + LONGEST_POLL)
