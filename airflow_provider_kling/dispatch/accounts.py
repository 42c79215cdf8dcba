"""Several accounts that share one load: whose turn it is.

The choice must be the same whenever it is made, by any process: Kling refuses a repeated external id within one account,
not across two. So it follows from the place of the row alone, in turn over the accounts, those with more slots more
often. The list of accounts may change between two tries, so a later try looks the row up in all accounts first.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_kling.errors import KlingSettingsError

if TYPE_CHECKING:
    from airflow_provider_kling.client import KlingSettings

MOST_TURNS = 1000  # in a round


def shares_of(accounts: Sequence[KlingSettings]) -> list[int]:
    """How many turns each account gets: its `max_concurrency`, if all connections have one; else all get the same."""
    slots = [settings.max_concurrency for settings in accounts]
    if any(each is None for each in slots):
        if any(slots):
            limited = ", ".join(settings.conn_id for settings in accounts if settings.max_concurrency)
            raise KlingSettingsError(
                f"Of several connections only {limited} has max_concurrency; set it in all of them, or in none for equal shares."
            )
        return [1] * len(accounts)
    return [each or 1 for each in slots]


def turn(place: int | str, shares: Sequence[int]) -> int:
    """The index of the account whose turn it is at this place: a number, counted up over a load, or a text of any kind.

    Over as many places as there are shares, each account has its own number of turns, evenly mixed.
    """
    if isinstance(place, str):
        place = int.from_bytes(hashlib.sha256(place.encode()).digest()[:8], "big")
    order = _order(tuple(shares))
    return order[place % len(order)]


@functools.cache
def _order(shares: tuple[int, ...]) -> tuple[int, ...]:
    """One round of turns: each goes to the account that is furthest behind its share."""
    total = sum(shares)
    if total > MOST_TURNS:
        shares = tuple(max(1, share * MOST_TURNS // total) for share in shares)
    behind, order = [0] * len(shares), []
    for _ in range(sum(shares)):
        behind = [debt + share for debt, share in zip(behind, shares, strict=True)]
        next_one = max(range(len(shares)), key=behind.__getitem__)
        behind[next_one] -= sum(shares)
        order.append(next_one)
    return tuple(order)
