"""What the accounts of a run tell without spending: their region, their list of tasks, and what their packs hold."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.api import MAX_PAGE_SIZE, Task
from airflow_provider_kling.client import flows
from airflow_provider_kling.errors import KlingAuthError, KlingError, KlingSettingsError
from airflow_provider_kling.planning.scenes import region_of

if TYPE_CHECKING:
    from airflow_provider_kling.api import Balance
    from airflow_provider_kling.hooks import KlingHook
    from airflow_provider_kling.planning.earlier import EarlierAttempts

FEWEST_TASKS = 3  # finished tasks, before they say how long one takes
LIMITS = "max_concurrency"


@dataclass
class AccountFacts:
    """What is known of the accounts, of all of them together.

    `slots` is how many tasks run at once: what `slots_from` names. `durations` are seconds that finished tasks took.
    `balances` has one entry for each account that could be asked. `notes` are sentences about what could not.
    """

    regions: set[str] = field(default_factory=set)
    slots: int | None = None
    slots_from: str | None = None
    running: int = 0
    durations: list[float] = field(default_factory=list)
    balances: list[Balance] = field(default_factory=list)
    accounts: int = 0
    notes: list[str] = field(default_factory=list)
    allow_private_links: bool = False

    @property
    def seconds_per_video(self) -> float | None:
        """The median duration; None where too few tasks have ended."""
        return statistics.median(self.durations) if len(self.durations) >= FEWEST_TASKS else None


def ask(conn_ids: Sequence[str], earlier: EarlierAttempts | None) -> AccountFacts:
    """Ask the accounts of these connections.

    What cannot be read for now becomes a note. Raises KlingSettingsError for a connection that cannot work, and KlingAuthError
    for keys that Kling refuses: a run would fail with it, too.
    """
    from airflow_provider_kling.hooks import KlingHook

    facts = AccountFacts(accounts=len(conn_ids))
    slots: list[tuple[int | None, str]] = []
    for conn_id in conn_ids:
        with KlingHook(conn_id) as hook:
            if region := region_of(hook.settings.base_url):
                facts.regions.add(region)
            facts.allow_private_links = facts.allow_private_links or hook.settings.allow_private_links
            tasks = _noting(facts, hook, "the list of tasks", lambda hook=hook: _list(hook, earlier)) or []  # type: ignore[misc]
            facts.durations += durations_of(tasks)
            facts.running += sum(not task.done for task in tasks)
            limit, most = hook.settings.max_concurrency, most_at_once(tasks)
            slots.append((limit, f"{LIMITS} of the connection") if limit else (most or None, "most that ran at once"))
            if balance := _noting(facts, hook, "the balance", hook.get_balance):
                facts.balances.append(balance)
    if slots and all(number for number, _ in slots):
        facts.slots = sum(number or 0 for number, _ in slots)
        facts.slots_from = ", ".join(dict.fromkeys(source for _, source in slots))
    return facts


def _noting(facts: AccountFacts, hook: KlingHook, what: str, read: Callable[[], Any]) -> Any:
    """What `read` brings; None, and a note, where it cannot be read. Keys may have no right to see the balance."""
    try:
        return read()
    except KlingError as error:
        if isinstance(error, KlingAuthError | KlingSettingsError):
            raise
        facts.notes.append(f"Connection {hook.kling_conn_id}: {what} could not be read: {error}")
        return None


def _list(hook: KlingHook, earlier: EarlierAttempts | None) -> list[Task]:
    """The first page of the account's list. With `earlier`, further pages are read as long as they show tasks of this package."""
    first = tasks = hook.list_tasks(page_size=MAX_PAGE_SIZE)
    page = 1
    while earlier and earlier.see(tasks) and len(tasks) >= MAX_PAGE_SIZE and page < flows.MOST_PAGES:
        page += 1
        tasks = hook.list_tasks(page_num=page, page_size=MAX_PAGE_SIZE)
    return first


def durations_of(tasks: Iterable[Task]) -> list[float]:
    """The seconds that succeeded tasks took, from their creation to their end."""
    spans = (
        (task.updated_at - task.created_at).total_seconds()
        for task in tasks
        if task.succeeded and task.created_at and task.updated_at
    )
    return [span for span in spans if span >= 0]


def most_at_once(tasks: Iterable[Task]) -> int:
    """The most of these tasks that ran at the same time: an account has at least so many slots."""
    marks: list[tuple[float, int]] = []
    for task in tasks:
        if task.created_at is None or (task.done and task.updated_at is None):
            continue
        marks.append((task.created_at.timestamp(), 1))
        if task.done and task.updated_at is not None:
            marks.append((task.updated_at.timestamp(), -1))
    running = most = 0
    for _, change in sorted(marks):  # of one moment, ends come first
        running += change
        most = max(most, running)
    return most
