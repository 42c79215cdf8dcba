"""The caps of a connection, with those of Airflow's configuration where the connection has none; and where they are counted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import conf

from airflow_provider_kling import client
from airflow_provider_kling.caps import AccountCap
from airflow_provider_kling.errors import KlingInputError, KlingSettingsError
from airflow_provider_kling.values import replace

if TYPE_CHECKING:
    from airflow_provider_kling.client import KlingSettings, Spending

BOOK_AGE = 300.0  # seconds for which the prices that were read are used


def with_default_caps(settings: KlingSettings) -> KlingSettings:
    """The settings, with the caps of the section `[kling]` for those that the connection does not have."""
    configured = {name: conf.get("kling", name, fallback="") for name in vars(settings.cap)}
    try:
        defaults = AccountCap.of(configured)
    except KlingInputError as error:
        raise KlingSettingsError(f"Section [kling] of Airflow's configuration: {error}") from None
    if not defaults:
        return settings
    own = {name: value for name, value in vars(settings.cap).items() if value is not None}
    return replace(settings, cap=replace(defaults, **own))


def spending_of(settings: KlingSettings) -> Spending | None:
    """Where the caps of a connection are counted; None if it has none."""
    if not settings.cap:
        return None
    return client.Spending(_folder(), settings.conn_id, settings.cap, price=_prices())


def _folder() -> Path:
    configured = str(conf.get("kling", "spending_folder", fallback="") or "").strip()
    if "://" in configured:
        raise KlingSettingsError(
            "[kling] spending_folder is the URI of an object store, which has no locks; wanted is the path of a folder."
        )
    return Path(configured or Path(os.environ.get("AIRFLOW_HOME", "~/airflow"), "kling", "spending")).expanduser()


def _prices() -> Callable[[str], Decimal | None]:
    """What a video of a scene costs at most, as the book in `[kling] price_book` says; None without any known price."""
    from airflow_provider_kling.prices import PriceBook, price_book_location, read_prices

    book, read_at = PriceBook(), float("-inf")

    def price(scene: str) -> Decimal | None:
        nonlocal book, read_at
        location = price_book_location()
        if location and time.monotonic() > read_at + BOOK_AGE:
            book, read_at = read_prices(location), time.monotonic()
        return book.price(scene).at_most

    return price
