"""A warning at the start of a run whose videos cost more than the account's packs hold. It never fails the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from airflow_provider_kling.planning.tally import Cost
from airflow_provider_kling.redaction import show_error
from airflow_provider_kling.results import count_of, units_of


def warn_if_short(scenes: Callable[[], Mapping[str, int]], *, conn_ids: Sequence[str], results: str, log: Any) -> None:
    """Log a warning if the packs of these connections will run out before the videos are made.

    `scenes` returns the numbers of videos by scene; it is called if there are prices at all. Without a price of one of these scenes
    no account is asked; otherwise each of them once.
    """
    from airflow_provider_kling.prices import price_book_location, read_prices

    try:
        location = price_book_location(results)
        book = read_prices(location) if location else None
        if book is None or book.known_range() is None:
            return
        counts = scenes()
        prices = {scene: book.price(scene) for scene in counts}
        if not any(price.units is not None for price in prices.values()):
            return
        cost = Cost.of((prices[scene], count, 0) for scene, count in counts.items())
        balance = _balance(conn_ids)
    except Exception as error:  # noqa: BLE001 - a warning is not worth a failed run
        log.warning("Whether the resource packs will do is not known: %s", show_error(error))
        return
    text = _text(cost, balance, videos=sum(counts.values()))
    if text:
        log.warning("%s", text)


def _balance(conn_ids: Sequence[str]) -> Decimal:
    from airflow_provider_kling.hooks import KlingHook

    units = Decimal(0)
    for conn_id in conn_ids:
        with KlingHook(conn_id) as hook:
            units += hook.get_balance().units
    return units


def _text(cost: Cost, balance: Decimal, *, videos: int) -> str:
    sure = cost.known if cost.low is None else cost.low
    most = cost.at_most
    if balance >= sure and (most is None or balance >= most):
        return ""
    verb = "will" if balance < sure else "may"
    price = units_of(sure) if most in (None, sure) else f"{units_of(sure)} to {units_of(most or sure)}"
    return (
        f"The resource packs {verb} run out before the manifest does: they hold {units_of(balance)} (Kling's number may be "
        f"12 hours old), and {count_of(videos, 'video')} cost {price}. Without money on the account, Kling refuses what is left "
        "(code 1102); run this again later to make it. What earlier attempts have made costs nothing more."
    )
