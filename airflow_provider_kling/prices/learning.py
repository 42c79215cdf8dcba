"""Prices learned from the results of a run, at its end: once, and never at the run's expense."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from airflow_provider_kling.prices.book import Observation, observed
from airflow_provider_kling.prices.files import learn_prices, price_book_location
from airflow_provider_kling.redaction import show_error

MOST_PRICES = 10_000  # of one run that are remembered: each price of each scene once

L = TypeVar("L", bound=Mapping[str, Any])
log = logging.getLogger(__name__)


class PriceLearner:
    """Watches the lines of results go by, and remembers each price of each scene with its latest time."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], Observation] = {}

    def watch(self, lines: Iterable[L]) -> Iterator[L]:
        """The same lines; their prices are remembered."""
        for line in lines:
            if seen := observed(line):
                key = seen.scene, str(seen.units)
                known = self._seen.get(key)
                if (known is None and len(self._seen) < MOST_PRICES) or (known is not None and seen.seen_at > known.seen_at):
                    self._seen[key] = seen
            yield line

    def learn(self, results: str) -> None:
        """Add what was seen to the price book of these results. A book that cannot be written is a warning."""
        if not self._seen:
            return
        try:
            if location := price_book_location(results):
                learn_prices(location, self._seen.values())
        except Exception as error:  # noqa: BLE001 - what was paid for is written already, and must not seem to have failed
            log.warning("The prices of this run were not learned: %s", show_error(error))
