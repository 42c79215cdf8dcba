"""What waits in the triggerer for a whole manifest."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_kling.errors import KlingError, KlingInputError, KlingSettingsError
from airflow_provider_kling.jobs import Ended, Job, in_shard
from airflow_provider_kling.triggers import check_version, form_of


class KlingBatchTrigger(BaseTrigger):
    """Creates the tasks of a manifest and waits until they are done; saves nothing, and writes nothing.

    `count` is the number of rows. All other arguments are those of `jobs.Job`: ids, links and times only, as a trigger's
    row is plain text. Fires one event, which `batch_operator` reads: `{"batch": …}` or `{"error": …}`.
    """

    def __init__(self, *, count: int, not_before: float, version: int = 1, **job: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        known = {field.name for field in dataclasses.fields(Job)}
        self._row = form_of(version, {name: job.pop(name) for name in job.keys() - known})
        self.count = count
        self.not_before = not_before
        self.job = Job(**job)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kwargs = {"count": self.count, "not_before": self.not_before, **dataclasses.asdict(self.job), **self._row}
        return f"{type(self).__module__}.{type(self).__name__}", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        try:
            check_version(self._row["version"])
            ended = await self._work()
            event: dict[str, Any] = {
                "batch": {**ended.counts, "running": ended.running, "left": ended.left},
                "deadline": self.job.deadline,
            }
        except KlingError as error:
            event = {
                "error": str(error),
                "retryable": error.retryable,
                "invalid": isinstance(error, KlingInputError) and not isinstance(error, KlingSettingsError),
            }
        if self.task_instance is not None:  # under `dag.test()` nothing need be held back, see triggers.HOLD_BACK
            await asyncio.sleep(self.not_before - time.time())
        yield TriggerEvent(event)

    async def _work(self) -> Ended:
        from airflow_provider_kling import batch
        from airflow_provider_kling.files import opened

        manifest = opened(self.job.manifest, format=self.job.format, strict=self.job.strict)
        rows = await asyncio.to_thread(manifest.__enter__)
        try:
            # An earlier run of this trigger, here or in another triggerer, may have come as far as creates.
            return await batch.run(
                self.job,
                in_shard(rows(None), self.job.shard),
                count=self.count,
                outcomes=None,
                look_first=True,
                say=self.log.info,
            )
        finally:
            await asyncio.to_thread(manifest.__exit__, None, None, None)

    async def on_kill(self) -> None:
        """Called since Airflow 3.3 when the task instance is cleared or marked while it is deferred."""
        self.log.info("This triggerer no longer waits. Kling has no cancel: what was created goes on there and will be charged.")
