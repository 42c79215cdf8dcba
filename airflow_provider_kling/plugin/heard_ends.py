"""Tells sweeps what callbacks were received: in the asset's state store, which Airflow has from version 3.3 on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from airflow_provider_kling.callbacks import KEPT, heard_key

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

CLEAN_EVERY = 3600.0  # seconds
_cleaned_at: dict[int, float] = {}


def tell_sweeps(session: Session, asset_id: int, ids: Mapping[int, Iterable[str]]) -> None:
    """Store the ids of the tasks that were heard of, by the slot in which they ended: all of these slots, not only new ones."""
    try:
        from airflow.state import AssetScope, get_state_backend
    except ImportError:  # before Airflow 3.3
        return
    for slot, of_slot in ids.items():
        get_state_backend().set(AssetScope(asset_id=asset_id), heard_key(slot), json.dumps(sorted(of_slot)), session=session)
    if time.monotonic() - _cleaned_at.get(asset_id, -CLEAN_EVERY) >= CLEAN_EVERY:
        _cleaned_at[asset_id] = time.monotonic()
        _clean(session, asset_id)


def _clean(session: Session, asset_id: int) -> None:
    """Delete what is too old to be asked for."""
    from airflow.models.asset_state_store import AssetStateStoreModel as Model
    from airflow.state import AssetScope, get_state_backend
    from sqlalchemy import select

    old = (Model.asset_id == asset_id, Model.key.like("heard-%"), Model.updated_at < datetime.now(timezone.utc) - KEPT)
    for key in list(session.scalars(select(Model.key).where(*old))):
        get_state_backend().delete(AssetScope(asset_id=asset_id), key, session=session)
