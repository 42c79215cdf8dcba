"""Which external ids have no task in the account: one sweep answers for all submissions that ask.

A submission that an earlier attempt may have sent must be looked up before it is created. After a restart thousands ask at
once, and a query for each would cost as much as all their polls. A list that was read whole answers for all of them.

Absence needs proof. Only a whole list proves it; in any other case (too many tasks, a failed sweep) the answer is no, and
the submission is looked up by its id.
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
    """One external id, and the future answer to: is it certain that the account has no task of it?"""

    external_id: str
    answer: asyncio.Future[bool]

    def resolve(self, *, absent: bool) -> None:
        """Answer, unless that is done or the caller has gone."""
        if not self.answer.done():
            self.answer.set_result(absent)


class AbsenceLookups:
    """The lookups that the next sweep answers, and when it is worth it. Times are Unix seconds."""

    def __init__(self) -> None:
        self.too_many_tasks = False  # the list was longer than what is read of it
        self._pending: list[AbsenceLookup] = []
        self._swept_at = 0.0

    @property
    def pending(self) -> bool:
        """Whether anybody waits for an answer."""
        return bool(self._pending)

    def add(self, external_id: str) -> asyncio.Future[bool]:
        """Ask with the next sweep; the future brings the answer."""
        lookup = AbsenceLookup(external_id, asyncio.get_running_loop().create_future())
        self._pending.append(lookup)
        return lookup.answer

    def due(self, *, slots_awaited: bool) -> float:
        """From when on a sweep is worth it, in Unix seconds."""
        return self._swept_at + (INTERVAL_IN_QUEUE if slots_awaited else INTERVAL)

    def take(self) -> list[AbsenceLookup]:
        """All lookups, for the sweep that now begins."""
        lookups, self._pending = self._pending, []
        return lookups

    def answer(self, lookups: Iterable[AbsenceLookup], sweep: Sweep, *, begun_at: float) -> None:
        """Answer lookups by what a sweep has shown."""
        self._swept_at = begun_at
        self.too_many_tasks = not sweep.whole
        for lookup in lookups:
            lookup.resolve(absent=sweep.whole and lookup.external_id not in sweep.external_ids)

    def give_up(self) -> None:
        """No sweep will come."""
        answer_unknown(self._pending)


def answer_unknown(lookups: Iterable[AbsenceLookup]) -> None:
    """Answer lookups that a failed sweep has left open: nobody knows, so absence is not certain."""
    for lookup in lookups:
        lookup.resolve(absent=False)
