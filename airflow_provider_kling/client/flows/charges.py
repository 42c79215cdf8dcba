"""Reading all charges of a span: every page of a list whose end only the server knows.

A bill that is not whole is worse than none, so a list that does not end as it should is an error, never a shorter list.
"""

from __future__ import annotations

import itertools

from airflow_provider_kling.api import Charge, ChargePage, ChargeQuery, charges_call
from airflow_provider_kling.client.flows.steps import Flow
from airflow_provider_kling.errors import KlingAnswerError

MOST_PAGES = 10_000  # five million charges
MOST_EMPTY_PAGES = 20  # in a row, without a charge that was not seen before


def charges(query: ChargeQuery) -> Flow[list[Charge]]:
    """All charges that the query asks for, in the order of the server.

    A charge that a later page repeats, because the list has grown meanwhile, counts once. Raises KlingAnswerError if the list
    does not end: a cursor comes twice, page after page brings nothing new, or there are more than `MOST_PAGES`.
    """
    found: list[Charge] = []
    known: set[Charge] = set()
    cursors: set[str] = set()
    cursor: str | None = None
    empty = 0
    for number in itertools.count(1):
        page: ChargePage = yield charges_call(query, cursor)
        new = [charge for charge in page.charges if not (charge.is_one_of_a_kind and charge in known)]
        found += new
        known.update(new)
        empty = 0 if new else empty + 1
        cursor = page.next_cursor
        if cursor is None:
            return found
        if cursor in cursors:
            raise endless("it gives a cursor a second time", found)
        if empty >= MOST_EMPTY_PAGES:
            raise endless(f"{empty} pages in a row brought nothing new", found)
        if number >= MOST_PAGES:
            raise endless(f"it has more than {MOST_PAGES:,} pages", found)
        cursors.add(cursor)
    raise AssertionError("unreachable")


def endless(why: str, found: list[Charge]) -> KlingAnswerError:
    """The error for a list of charges that does not end. Another call would meet the same."""
    error = KlingAnswerError(f"The list of charges does not end: {why}, after {len(found):,} charges. None of them is used.")
    error.retryable = False
    error.outcome_unknown = False
    return error
