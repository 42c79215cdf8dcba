"""Counts what callbacks were answered with, for Airflow's metrics and for the log.

The log has the first one of a connection and an answer at once, and how many have come since once a minute.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_kling.hooks import AirflowSink
from airflow_provider_kling.metrics import CALLBACKS

EVERY = 60.0  # seconds between two lines about the same connection and answer
MOST_LINES = 1000  # connections and answers that are counted apart; ids that nobody knows are one

log = logging.getLogger(__name__)


@dataclass
class _Line:
    logged_at: float
    since: int = 0


class Tally:
    """For the event loop of the API server alone."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._sink = AirflowSink()
        self._lines: dict[tuple[str, str], _Line] = {}

    def count(self, kling_conn_id: str, word: str, why: str = "", *, level: int = logging.INFO) -> None:
        """Count a callback that was answered with this word. `why` is told with the line that is logged."""
        self._sink.record(CALLBACKS, conn_id=kling_conn_id, result=word)
        now, key = self._now(), (kling_conn_id, word)
        line = self._lines.get(key)
        if line is None:
            if len(self._lines) >= MOST_LINES:
                self._lines.clear()
            self._lines[key] = _Line(now)
            self._log(level, kling_conn_id, word, 1, why)
            return
        line.since += 1
        if now - line.logged_at >= EVERY:
            self._log(level, kling_conn_id, word, line.since, why)
            line.logged_at, line.since = now, 0

    def _log(self, level: int, kling_conn_id: str, word: str, number: int, why: str) -> None:
        what = f"a callback was answered {word!r}" if number == 1 else f"{number:,} more callbacks were answered {word!r}"
        log.log(level, "Connection %s: %s.%s", kling_conn_id, what, f" {why}" if why else "")
