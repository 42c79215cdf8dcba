"""Asset events of ends in Airflow's database: each end once, however many API servers hear of it.

A transaction locks the asset's row, reads the events that have come since the last one, and adds those of ends that none is of.
So all API servers see what the others, and the triggerer, have registered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.callbacks import KEPT, asset_uri, end_in, slot_of
from airflow_provider_kling.plugin.heard_ends import tell_sweeps

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

ACCEPTED, REPEATED, UNHEARD = "accepted", "repeated", "unheard"

OVERLAP = 100  # ids that are read again: one that was given earlier may be committed later
MOST_EVENTS = 200_000  # of an asset that are remembered, in some 50 MB; beyond, the oldest half is forgotten


def is_late(ended_at: datetime | None) -> bool:
    """Whether a task ended so long ago that its event may be forgotten: it is no news."""
    return ended_at is not None and ended_at < datetime.now(timezone.utc) - KEPT


class EndEvents:
    """The ends that events of assets are of, as far as this process has read them. For one thread at a time."""

    def __init__(self) -> None:
        self._heard: dict[int, _Heard] = {}

    def register(self, kling_conn_id: str, ends: Iterable[Mapping[str, Any]]) -> list[str]:
        """Make an asset event of each end that has none, in one transaction. Returns a word for each end.

        `unheard`: Airflow knows no asset of this connection, since no DAG names it. Raises the errors of the database; nothing
        is registered then.
        """
        from airflow.utils.session import create_session

        ends = list(ends)
        try:
            with create_session() as session:
                assets = _locked_assets(session, kling_conn_id)
                words = [self._register(session, asset, ends) for asset in assets]
        except BaseException:
            self._heard.clear()  # it may hold what was rolled back
            raise
        if not words:
            return [UNHEARD] * len(ends)
        return [ACCEPTED if ACCEPTED in each else REPEATED for each in zip(*words, strict=True)]

    def _register(self, session: Session, asset: Any, ends: list[Mapping[str, Any]]) -> list[str]:
        heard = self._heard.setdefault(asset.id, _Heard())
        heard.read(session, asset.id)
        new: dict[str, Mapping[str, Any]] = {}
        for end in ends:
            if end["kling_task_id"] not in heard.ids:
                new.setdefault(end["kling_task_id"], end)
        words = [ACCEPTED if new.get(end["kling_task_id"]) is end else REPEATED for end in ends]
        _add_events(session, asset, list(new.values()))
        heard.add(new.values())
        tell_sweeps(session, asset.id, {slot: heard.by_slot[slot] for slot in set(map(_slot_of, new.values()))})
        return words


class _Heard:
    """The ids of the tasks that events of one asset are of, in the order in which they were read, and by the slot of their end."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.by_slot: dict[int, set[str]] = defaultdict(set)
        self._last = 0  # the largest id of an event that was read
        self._read: list[int] = []  # the ids that would be read again

    def read(self, session: Session, asset_id: int) -> None:
        """Read the events that have come since."""
        from airflow.models.asset import AssetEvent
        from sqlalchemy import select

        query = select(AssetEvent.id, AssetEvent.extra).where(AssetEvent.asset_id == asset_id)
        if self._last:
            query = query.where(AssetEvent.id > self._last - OVERLAP, AssetEvent.id.not_in(self._read))
        else:
            query = query.where(AssetEvent.timestamp > datetime.now(timezone.utc) - KEPT)
        found = list(session.execute(query.order_by(AssetEvent.id.desc()).limit(MOST_EVENTS // 2)))
        self._last = max([self._last, *(number for number, _ in found)])
        self._read = [number for number in (*self._read, *(number for number, _ in found)) if number > self._last - OVERLAP]
        self.add(end for _, extra in reversed(found) if (end := end_in(extra)) is not None)

    def add(self, ends: Iterable[Mapping[str, Any]]) -> None:
        for end in ends:
            if end["kling_task_id"] not in self.ids:
                slot = self.ids[end["kling_task_id"]] = _slot_of(end)
                self.by_slot[slot].add(end["kling_task_id"])
        if len(self.ids) > MOST_EVENTS:
            self._forget(list(self.ids)[: MOST_EVENTS // 2])

    def _forget(self, ids: Collection[str]) -> None:
        for task_id in ids:
            slot = self.ids.pop(task_id)
            self.by_slot[slot].discard(task_id)
            if not self.by_slot[slot]:
                del self.by_slot[slot]


def _slot_of(end: Mapping[str, Any]) -> int:
    """The slot in which this task ended; 0 where its event does not say it."""
    try:
        return slot_of(datetime.fromisoformat(end["updated_at"]))
    except (KeyError, TypeError, ValueError):
        return 0


def _locked_assets(session: Session, kling_conn_id: str) -> list[Any]:
    """The assets of the connection: one, or several if DAGs give one URI several names."""
    from airflow.models.asset import AssetModel
    from airflow.sdk import Asset
    from sqlalchemy import select, update

    uri = Asset(uri=asset_uri(kling_conn_id)).uri
    if session.get_bind().dialect.name == "sqlite":  # it has no locks of rows; what writes first holds its one lock
        session.execute(update(AssetModel).where(AssetModel.uri == uri).values(uri=uri))
    return list(session.scalars(select(AssetModel).where(AssetModel.uri == uri).order_by(AssetModel.id).with_for_update()))


def _add_events(session: Session, asset: Any, ends: list[Mapping[str, Any]]) -> None:
    """Add the events. The last one goes through Airflow's asset manager, which queues the runs of DAGs on this asset, and tells
    listeners: once for them all, since it costs Airflow some 5 ms of CPU time each time."""
    from airflow.assets.manager import asset_manager
    from airflow.models.asset import AssetEvent
    from sqlalchemy import insert

    if not ends:
        return
    *others, last = ends
    if others:
        session.execute(insert(AssetEvent), [{"asset_id": asset.id, "extra": dict(end)} for end in others])
    asset_manager.register_asset_change(asset=asset, extra=dict(last), session=session)
