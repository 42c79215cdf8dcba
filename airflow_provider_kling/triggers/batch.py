"""What waits in the triggerer for a whole manifest."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from airflow_provider_kling.batch import BatchJob, BatchOutcome, in_shard
from airflow_provider_kling.triggers.task import OneEventTrigger

# Rows in Airflow's database name the class by this path, which stays importable for ever.
CLASS_PATH = "airflow_provider_kling.batch_trigger.KlingBatchTrigger"


class KlingBatchTrigger(OneEventTrigger):
    """Creates the tasks of a manifest and waits until they are done; saves nothing, and writes nothing.

    `count` is the number of rows. All other arguments are those of `jobs.BatchJob`: ids, links and times only, as a trigger's
    row is plain text. `batch_operator` reads its event: `{"batch": …}` or `{"error": …}`.
    """

    def __init__(self, *, count: int, not_before: float, version: int = 1, **job: Any) -> None:
        known = {field.name for field in dataclasses.fields(BatchJob)}
        newer = {name: job.pop(name) for name in job.keys() - known}
        super().__init__(not_before=not_before, version=version, newer=newer)
        self.count = count
        self.job = BatchJob(**job)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kwargs = {"count": self.count, "not_before": self.not_before, **dataclasses.asdict(self.job), **self._row}
        return CLASS_PATH, kwargs

    async def outcome(self) -> dict[str, Any]:
        ended = await self._work()
        return {"batch": {**ended.counts, "running": ended.running, "left": ended.left}, "deadline": self.job.deadline}

    async def _work(self) -> BatchOutcome:
        from airflow_provider_kling.batch import engine as batch
        from airflow_provider_kling.results import opened

        manifest = opened(self.job.manifest, format=self.job.format, strict=self.job.strict)
        rows = await asyncio.to_thread(manifest.__enter__)
        try:
            # An earlier run of this trigger, here or in another triggerer, may have come as far as creates.
            return await batch.run(
                self.job,
                in_shard(rows(None), self.job.shard),
                count=self.count,
                outcomes=None,
                adopt_existing=True,
                say=self.log.info,
            )
        finally:
            await asyncio.to_thread(manifest.__exit__, None, None, None)
