"""The trigger of an AssetWatcher that fires for each task of an account that has ended, and that nobody has reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_kling.errors import KlingError, KlingTaskNotFound
from airflow_provider_kling.triggers.base import CLASS_PATHS
from airflow_provider_kling.triggers.ends_told import ends_told

if TYPE_CHECKING:
    from airflow_provider_kling.callbacks import Sweeps
    from airflow_provider_kling.hooks import KlingHook

LONGEST_PAUSE = 900.0  # seconds between two sweeps, while Kling cannot be asked
PAGE_TIMEOUT = 120.0  # seconds for one page, tries included
CALLBACK_GRACE = 120.0  # seconds that a callback is given, where callbacks are received


class KlingFinishedTasksTrigger(BaseEventTrigger):
    """Fires for each task of an account that has ended: as the trigger of an `AssetWatcher` on `kling://<conn_id>`.

    It reads the account's list every `interval` seconds, a page or two of it each time, and so finds the tasks of other programs,
    too. Ends before its first start are no news. On Airflow 3.3 and later it remembers in the asset's state store what it has
    fired for, and leaves out what the receiver of callbacks has reported; on older versions, a restart of the triggerer may fire
    for the ends of the last quarter of an hour again. A crash may repeat an event and loses none: what a DAG does for an event
    must do no harm twice. The `payload` is what `callbacks.end_of` describes.

    :param kling_conn_id: the connection.
    :param interval: seconds between two sweeps.
    :param grace: seconds that an end must be old. Default: 120 where `[kling] callback_base_url` is set, so that callbacks come
        first; else 0.
    """

    def __init__(self, *, kling_conn_id: str = "kling_default", interval: float = 60.0, grace: float | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self.kling_conn_id = kling_conn_id
        self.interval = interval
        self.grace = grace

    def serialize(self) -> tuple[str, dict[str, Any]]:
        fields = {"kling_conn_id": self.kling_conn_id, "interval": self.interval, "grace": self.grace}
        return f"{CLASS_PATHS}.{type(self).__name__}", fields

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from airflow_provider_kling.callbacks import SWEEP, Sweeps, end_of
        from airflow_provider_kling.hooks import KlingHook

        told = ends_told(self, self.kling_conn_id)
        sweeps = Sweeps(await told.since())
        pause = self.interval
        async with KlingHook(self.kling_conn_id) as hook:
            while True:
                started = datetime.now(timezone.utc)
                try:
                    await self._sweep(hook, sweeps)
                except KlingError as error:
                    pause = min(pause * 2, max(LONGEST_PAUSE, self.interval))
                    self.log.warning("Connection %s: no sweep for ended tasks: %s", self.kling_conn_id, error)
                else:
                    pause = self.interval
                    ends = sweeps.ends(datetime.now(timezone.utc), timedelta(seconds=self._grace))
                    new = await told.untold(ends)
                    for task in new:
                        yield TriggerEvent(end_of(task, self.kling_conn_id, SWEEP))
                    await told.tell(new)
                    sweeps.report(ends, started)
                    await told.go_on_from(sweeps.finish(started))
                    if ends:
                        self.log.info(
                            "Connection %s: %d tasks have ended, of which %d were reported by callbacks.",
                            self.kling_conn_id,
                            len(ends),
                            len(ends) - len(new),
                        )
                await asyncio.sleep(pause)

    @property
    def _grace(self) -> float:
        from airflow.providers.common.compat.sdk import conf

        if self.grace is not None:
            return self.grace
        return CALLBACK_GRACE if conf.get("kling", "callback_base_url", fallback="") else 0.0

    async def _sweep(self, hook: KlingHook, sweeps: Sweeps) -> None:
        """Read what has changed. Raises KlingError."""
        from airflow_provider_kling.api import page_call
        from airflow_provider_kling.callbacks import Shown
        from airflow_provider_kling.client import monotonic_now

        client = await hook.aget_conn()
        pages = sweeps.pages()
        number = next(pages)
        while True:
            call = page_call(hook.product, page_num=number, page_size=sweeps.page_size)
            page = await client.send(call, deadline=monotonic_now() + PAGE_TIMEOUT)
            try:
                number = pages.send(Shown(page.tasks, page.length))
            except StopIteration:
                break
        for task_id in sweeps.to_query():
            try:
                sweeps.queried(task_id, await hook.aget_task(task_id))
            except KlingTaskNotFound:
                sweeps.queried(task_id, None)
