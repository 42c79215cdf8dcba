"""The trigger of KlingEffectBatchOperator: it works on a whole manifest in the triggerer."""

from __future__ import annotations

import dataclasses
from typing import Any

from airflow_provider_kling.batch import BatchJob, BatchOutcome, in_shard
from airflow_provider_kling.triggers.base import OneEventTrigger, Outcome

# Rows in Airflow's database name the class by this path, which stays importable for ever.
CLASS_PATH = "airflow_provider_kling.batch_trigger.KlingBatchTrigger"


class KlingBatchTrigger(OneEventTrigger):
    """Creates the tasks of a manifest and waits until they are done. It saves no videos and writes no results.

    `count` is the number of rows. All other arguments are the fields of `batch.BatchJob`: ids, links and times only, because
    a trigger's row is plain text. The event is `{"batch": counts, "deadline": …}`, whose counts are the numbers of rows by
    status, `running` past the deadline and `left` to a worker; or `{"error": …}`.
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

    async def outcome(self) -> Outcome:
        outcome = await self._work()
        counts = {**outcome.counts, "running": outcome.running, "left": outcome.for_worker}
        return Outcome({"batch": counts, "deadline": self.job.deadline})

    async def _work(self) -> BatchOutcome:
        from airflow_provider_kling import batch
        from airflow_provider_kling.manifests import ManifestFile

        async with ManifestFile(self.job.manifest, format=self.job.format, strict=self.job.strict) as manifest:
            return await batch.run(
                self.job,
                in_shard(manifest.rows(), self.job.shard),
                count=self.count,
                outcomes=None,
                adopt_existing=True,  # an earlier run of this trigger, in any triggerer, may have created tasks
                log=self.log.info,
            )
