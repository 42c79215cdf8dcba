"""Which ends have been told to Airflow, as the state store of an asset remembers it (Airflow 3.3 and later).

Ids of tasks by the time at which they ended, under keys of the sweep's own and of the receiver's of callbacks, so that neither
overwrites what the other has written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from airflow_provider_kling.api import Task
from airflow_provider_kling.callbacks import KEPT, MARGIN, asset_uri, heard_key, minute_of, slot_of, swept_key

SINCE = "swept"  # the key of the time from which the next sweep goes on


def ends_told(trigger: Any, kling_conn_id: str) -> EndsTold:
    """The memory of this trigger: that of Airflow where there is one, else none but for this start."""
    stores = getattr(trigger, "asset_state_store", None)
    if stores is None:
        return EndsTold()
    from airflow.sdk import Asset

    try:
        return StoredEnds(stores[Asset(uri=asset_uri(kling_conn_id))])
    except KeyError:
        return StoredEnds(stores)  # the one asset that is watched has another name


class EndsTold:
    """Remembers nothing."""

    async def since(self) -> datetime:
        """The time from which the first sweep reports ends."""
        return datetime.now(timezone.utc) - MARGIN

    async def untold(self, tasks: Iterable[Task]) -> list[Task]:
        """Those of these ends that nobody has told."""
        return list(tasks)

    async def tell(self, tasks: Iterable[Task]) -> None:
        """Remember these ends."""

    async def go_on_from(self, since: datetime) -> None:
        """Remember that the next sweep goes on from there."""


class StoredEnds(EndsTold):
    """Remembers in a state store of Airflow's, which has `aget`, `aset` and `adelete`."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._cleaned_to: int | None = None

    async def since(self) -> datetime:
        stored = await self._store.aget(SINCE)
        if isinstance(stored, str):
            return datetime.fromisoformat(stored)
        now = datetime.now(timezone.utc)
        await self.go_on_from(now)
        return now

    async def untold(self, tasks: Iterable[Task]) -> list[Task]:
        tasks = list(tasks)
        slots, minutes = ({unit(task.updated_at) for task in tasks} for unit in (slot_of, minute_of))
        heard = [await self._ids(heard_key(slot)) for slot in slots]
        swept = [await self._ids(swept_key(minute)) for minute in minutes]
        known = set().union(*heard, *swept)
        return [task for task in tasks if task.kling_task_id not in known]

    async def tell(self, tasks: Iterable[Task]) -> None:
        by_minute: dict[int, list[str]] = defaultdict(list)
        for task in tasks:
            by_minute[minute_of(task.updated_at)].append(task.kling_task_id)
        for minute, ids in by_minute.items():
            earlier = await self._ids(swept_key(minute))
            await self._store.aset(swept_key(minute), sorted(earlier.union(ids)))

    async def go_on_from(self, since: datetime) -> None:
        await self._store.aset(SINCE, since.isoformat())
        await self._clean(minute_of(datetime.now(timezone.utc) - KEPT))

    async def _clean(self, end: int) -> None:
        """Delete what was told in the minutes before this one, as far as this trigger has run through them."""
        first = end if self._cleaned_to is None else self._cleaned_to
        for minute in range(first, end):
            await self._store.adelete(swept_key(minute))
        self._cleaned_to = max(end, first)

    async def _ids(self, key: str) -> set[str]:
        stored = await self._store.aget(key)
        return set(stored if isinstance(stored, list) else ())
