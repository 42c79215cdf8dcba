"""The trigger that waits until the resource packs of an account hold enough units.

Its event is `{"balance": …}`, `{"timeout": …}` or an error as `outcomes.error_event` writes it.
"""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any

from airflow_provider_kling.client import format_seconds, monotonic_deadline, monotonic_now
from airflow_provider_kling.errors import KlingError, KlingTimeoutError
from airflow_provider_kling.triggers.base import CLASS_PATHS, OneEventTrigger, Outcome

LAST_LOOK = 3.0  # seconds past the deadline for the answer to the last request, which may have to wait for its turn
LONGEST_AGE = 60.0  # seconds of an answer that another sensor has just had: the number is hours old anyway
TROUBLE_PAUSE = 15.0  # seconds after the first error that may pass; doubling from there, up to the poll interval


class KlingBalanceTrigger(OneEventTrigger):
    """Waits until the packs of a connection hold `units`. `deadline` and `not_before` are Unix times in seconds.

    All that wait for the same connection in a triggerer share one reader, which sends at most one request a second.
    """

    def __init__(
        self,
        *,
        kling_conn_id: str,
        units: str,
        deadline: float,
        poll_interval: float,
        not_before: float = 0.0,
        pack_name: str | None = None,
        version: int = 1,
        **newer: Any,
    ) -> None:
        super().__init__(not_before=not_before, version=version, newer=newer)
        self.kling_conn_id = kling_conn_id
        self.units = units
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.pack_name = pack_name

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("kling_conn_id", "units", "deadline", "poll_interval", "not_before", "pack_name")
        return f"{CLASS_PATHS}.{type(self).__name__}", {**{name: getattr(self, name) for name in names}, **self._row}

    async def outcome(self) -> Outcome:
        return Outcome(await self._wait())

    async def _wait(self) -> dict[str, Any]:
        """Read the balance until it suffices. Raises the error of an account or of credentials at once."""
        from airflow_provider_kling.api import Balance
        from airflow_provider_kling.hooks import KlingHook, shared_balance

        wanted, deadline = Decimal(self.units), monotonic_deadline(self.deadline)
        last, faults = "", 0
        async with KlingHook(self.kling_conn_id) as hook, shared_balance(hook) as reader:
            while True:
                try:
                    reading = reader.packs(max_age=min(LONGEST_AGE, self.poll_interval / 2))
                    packs, read_at = await asyncio.wait_for(reading, max(LAST_LOOK, deadline - monotonic_now()))
                except asyncio.TimeoutError:
                    last, faults = "Kling did not answer.", faults + 1
                except KlingError as error:
                    if not error.retryable:
                        raise
                    last, faults = str(error), faults + 1
                    self.log.warning("Connection %s: Kling cannot be asked at the moment: %s", self.kling_conn_id, error)
                else:
                    balance, faults = Balance.of(packs, now=read_at, name=self.pack_name), 0
                    last = balance.describe()
                    self.log.info("Connection %s: %s", self.kling_conn_id, last)
                    if balance.units >= wanted:
                        return {"balance": balance.to_json()}
                now = monotonic_now()
                if now >= deadline:
                    raise KlingTimeoutError(too_late(wanted, self.kling_conn_id, last))
                await asyncio.sleep(min(self._pause(faults), deadline - now))

    def _pause(self, faults: int) -> float:
        """Seconds until the next look, a little different for each waiter."""
        seconds = min(self.poll_interval, TROUBLE_PAUSE * 2.0 ** min(faults - 1, 10)) if faults else self.poll_interval
        return seconds * random.uniform(0.9, 1.1)  # noqa: S311 - not for secrets

    async def on_kill(self) -> None:
        """Called by Airflow 3.3 and later when the deferred task instance is cleared or marked."""
        self.log.info("This triggerer no longer waits for units.")


def too_late(wanted: Decimal, conn_id: str, last: str) -> str:
    """The sentence of a wait that has reached its timeout."""
    return f"Connection {conn_id}: the resource packs did not hold {format(wanted, 'f')} units in time. Last seen: {last}"


def waiting_for(wanted: Decimal, seconds: float) -> str:
    """The sentence of a wait that begins."""
    return f"Waiting in the triggerer for {format(wanted, 'f')} units, at most {format_seconds(seconds)}."
