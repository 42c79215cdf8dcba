"""The settings of connections as the API server needs them: from memory, and read again once a minute.

Anyone may send a request with any connection id, so those that are unknown are looked up a few times a second at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from airflow_provider_kling.client import KlingSettings
from airflow_provider_kling.errors import KlingError
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.plugin.cache import Cache

FRESH = 60.0  # seconds for which settings that were read are used; a new secret counts after that
MOST_CONNECTIONS = 1000
UNKNOWN_LOOKUPS = 5  # a second, of connections that were not found before


class NotNowError(Exception):
    """Whether there is such a connection is not looked up at the moment."""


class Connections:
    """Settings by connection id. Its methods may block, and be called by several threads."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._found: Cache[str, tuple[float, KlingSettings]] = Cache(MOST_CONNECTIONS)
        self._second, self._lookups = 0, 0

    def fresh(self, kling_conn_id: str) -> KlingSettings | None:
        """The settings, if they were read within the last minute. Does not block."""
        read_at, settings = self._found.get(kling_conn_id) or (0.0, None)
        return settings if settings is not None and self._now() - read_at < FRESH else None

    def settings(self, kling_conn_id: str) -> KlingSettings:
        """The settings. While they cannot be read, those of the last time count.

        Raises KlingSettingsError for a connection that does not exist or cannot work, NotNowError if too many were asked for.
        """
        known = self._found.get(kling_conn_id)
        if known is None:
            self._count_lookup()
        try:
            settings = KlingHook(kling_conn_id).settings
        except KlingError:
            raise
        except Exception as error:
            if known is None:
                raise NotNowError(f"Connection {kling_conn_id!r} cannot be read: {type(error).__name__}.") from error
            settings = known[1]
        self._found.put(kling_conn_id, (self._now(), settings))
        return settings

    def _count_lookup(self) -> None:
        second = int(self._now())
        if second != self._second:
            self._second, self._lookups = second, 0
        self._lookups += 1
        if self._lookups > UNKNOWN_LOOKUPS:
            raise NotNowError(f"More than {UNKNOWN_LOOKUPS} unknown connections were asked for in a second.")
