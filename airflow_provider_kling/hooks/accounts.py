"""Several accounts for one load: which of them a submission is made with.

The choice must be the same whenever it is made, by whichever process: Kling refuses an external id twice within one
account, not across two. So it follows from the submission's place alone, in turn over the accounts, those with more slots more
often. And since the list may be changed between two tries, a later one looks into all accounts before it asks.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.errors import KlingInputError, KlingSettingsError
from airflow_provider_kling.hooks.kling import KlingHook

if TYPE_CHECKING:
    from airflow_provider_kling.client import Submission

MOST_TURNS = 1000  # in a round


def conn_ids(given: str | Iterable[str]) -> list[str]:
    """The connection ids of a list, or of a text that separates them with commas. KlingInputError if they are none."""
    parts = given.split(",") if isinstance(given, str) else list(given)
    ids = [part.strip() if isinstance(part, str) else "" for part in parts]
    if not ids or not all(ids):
        raise KlingInputError(f"kling_conn_id is {given!r}; wanted is the id of a connection, or a list of ids.")
    return list(dict.fromkeys(ids))


def hooks_of(given: str | Iterable[str]) -> list[KlingHook]:
    return [KlingHook(kling_conn_id) for kling_conn_id in conn_ids(given)]


def account_of(submission: Submission, given: str | Iterable[str], *, place: int | str, adopt_existing: bool) -> KlingHook:
    """The account to make this submission with. With `adopt_existing` it is the one that has a task of it, if one has.

    Raises what a look has raised: as long as one account cannot be asked, nobody knows.
    """
    hooks = hooks_of(given)
    if len(hooks) == 1:
        return hooks[0]
    home = hooks[turn(place, shares_of(hooks))]
    found = _first_with(submission.external_id, sorted(hooks, key=lambda hook: hook is not home)) if adopt_existing else None
    return found or home


def hook_of(any_id: str, given: str | Iterable[str], event: Any = None) -> KlingHook:
    """The account that has the task of this id: the one that a trigger's event names, or the first that knows it.

    Where none knows it the first one is brought, which will say so.
    """
    named = event.get("kling_conn_id") if isinstance(event, dict) else None
    hooks = hooks_of(given)
    if len(hooks) == 1:
        return hooks[0]
    if isinstance(named, str):
        return KlingHook(named)
    return _first_with(any_id, hooks) or hooks[0]


def _first_with(any_id: str, hooks: Iterable[KlingHook]) -> KlingHook | None:
    """The first of these accounts that knows the task of this id. Raises what a look has raised."""
    for hook in hooks:
        with hook:
            if hook.find_task(any_id):
                return hook
    return None


def shares_of(hooks: Sequence[KlingHook]) -> list[int]:
    """How many slots each account has, as far as all connections tell with `max_concurrency`; else all count the same."""
    slots = [hook.settings.max_concurrency for hook in hooks]
    if any(each is None for each in slots):
        if any(slots):
            told = ", ".join(hook.kling_conn_id for hook, each in zip(hooks, slots, strict=True) if each)
            raise KlingSettingsError(
                f"Of several connections only {told} has max_concurrency; set it in all of them, or in none for equal shares."
            )
        return [1] * len(hooks)
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
    """One round of turns: at each, the account comes that is furthest behind its share."""
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
