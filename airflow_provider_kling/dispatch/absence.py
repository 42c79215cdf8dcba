"""Which external ids the account's list does not show: one sweep answers for all submissions that ask.

A submission that an earlier attempt may have sent must be looked up before it is created. After a restart thousands ask at
once, and a query for each would cost as much as all their polls. A list that was read whole answers for all of them.

A list proves little: it may be capped, or lag behind. So a yes needs a list that was read to its end (see `list_reader`)
and that shows all of our own running tasks. It spares the first lookup of a create in the same account, where Kling refuses an
external id that exists, and nothing else. In any other case the answer is no, and the submission is looked up by its id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from airflow_provider_kling.dispatch.sweep import Sweep

PAGES_FOR_ABSENCE = 2  # lists of up to so many pages are read whole; in a larger account no absence is proved
COLLECT_FOR = 0.2  # seconds, so that submissions that come together are answered together
INTERVAL = 2.0  # seconds between two sweeps for absence, …
INTERVAL_IN_QUEUE = 10.0  # … and while requests wait for slots: a new one is the last of them, so its answer may wait


@dataclass(frozen=True, eq=False)
class AbsenceLookup:
    """One external id, and the future answer to: is it certain that the list has no task of it?"""

    external_id: str
    answer: asyncio.Future[bool]

    def resolve(self, *, absent: bool) -> None:
        """Answer, unless that is done or the caller has gone."""
        if not self.answer.done():
            self.answer.set_result(absent)


class AbsenceLookups:
    """The lookups that the next sweep answers, and when it is worth it. Times are by the event loop's clock."""

    def __init__(self) -> None:
        self.unprovable = False  # the list was longer than what is read of it, or it did not show everything
        self._shown: frozenset[str] = frozenset()  # Kling task ids in the list when it was last read to its end
        self._pending: dict[AbsenceLookup, None] = {}
        self._asked_at = 0.0  # when the first of the pending ones came
        self._swept_at = float("-inf")

    @property
    def pending(self) -> bool:
        """Whether anybody waits for an answer."""
        return bool(self._pending)

    def add(self, external_id: str, *, now: float) -> AbsenceLookup:
        """Ask with the next sweep; the lookup's future brings the answer."""
        if not self._pending:
            self._asked_at = now
        lookup = AbsenceLookup(external_id, asyncio.get_running_loop().create_future())
        self._pending[lookup] = None
        return lookup

    def withdraw(self, lookup: AbsenceLookup) -> None:
        """Nobody waits for this answer any more."""
        self._pending.pop(lookup, None)

    def due(self, *, slots_awaited: bool) -> float:
        """From when on a sweep is worth it; infinity while nobody asks."""
        if not self._pending:
            return float("inf")
        return max(self._asked_at + COLLECT_FOR, self._swept_at + (INTERVAL_IN_QUEUE if slots_awaited else INTERVAL))

    def take(self) -> list[AbsenceLookup]:
        """All lookups, for the sweep that now begins."""
        lookups, self._pending = list(self._pending), {}
        return lookups

    def shows_all_known(self, sweep: Sweep) -> bool:
        """Whether a sweep has shown all that an earlier, whole one had shown, so that the server hides nothing of it now."""
        return bool(self._shown) and self._shown <= sweep.kling_task_ids and not sweep.missing

    def answer(self, lookups: Iterable[AbsenceLookup], sweep: Sweep, *, begun_at: float) -> None:
        """Answer lookups by what a sweep has shown."""
        self._swept_at = begun_at
        certain = sweep.whole and not sweep.missing
        self.unprovable = not certain
        self._shown = frozenset(sweep.kling_task_ids if certain else ())
        for lookup in lookups:
            lookup.resolve(absent=certain and lookup.external_id not in sweep.external_ids)

    def give_up(self) -> None:
        """No sweep will come."""
        answer_unknown(self.take())


def answer_unknown(lookups: Iterable[AbsenceLookup]) -> None:
    """Answer lookups that a failed sweep has left open: nobody knows, so absence is not certain."""
    for lookup in lookups:
        lookup.resolve(absent=False)
