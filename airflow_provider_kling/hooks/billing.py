"""The part of KlingHook that is about the account's money: resource packs, what they hold, and what was charged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pendulum

from airflow_provider_kling import api
from airflow_provider_kling.api import MAX_CHARGES
from airflow_provider_kling.client import monotonic_now, seconds
from airflow_provider_kling.hooks.calls import CHARGES_TIMEOUT, charges_flow, packs_call
from airflow_provider_kling.hooks.connection import ConnectionHook

if TYPE_CHECKING:
    from airflow_provider_kling.api import Balance, Charge, PaidWith, ResourcePack


class BillingHook(ConnectionHook):
    """Reads resource packs and charges. Each method has an async twin with the prefix `a`."""

    def get_resource_packs(
        self, start: pendulum.DateTime | None = None, end: pendulum.DateTime | None = None, name: str | None = None
    ) -> list[ResourcePack]:
        """The account's resource packs of a period (default: the last year). At most one call per second."""
        return self._read(packs_call(start, end, name))

    async def aget_resource_packs(
        self, start: pendulum.DateTime | None = None, end: pendulum.DateTime | None = None, name: str | None = None
    ) -> list[ResourcePack]:
        return await self._aread(packs_call(start, end, name))

    def get_charges(
        self,
        start: datetime,
        end: datetime,
        paid_with: PaidWith | None = None,
        *,
        api_key_name: str | Sequence[str] | None = None,
        product_type: str | Sequence[str] | None = None,
        package_name: str | Sequence[str] | None = None,
        package_id: str | Sequence[str] | None = None,
        page_size: int = MAX_CHARGES,
        timeout: float | timedelta = CHARGES_TIMEOUT,
    ) -> list[Charge]:
        """All that Kling has charged for tasks that were created from `start` to `end`, the oldest first.

        The times need a time zone. `paid_with` is `units` (resource packs), `money` (the account's money), or None for both.
        Each filter takes one value or several; all but `api_key_name` exist for units alone, so with them None means units.
        `package_name` and `package_id` exclude each other. Charges come at the end of a task, and may show later.
        Raises KlingInputError for a wrong argument, KlingAnswerError for a list that does not end as it should: what is
        returned is whole. At the `timeout`, the error of the last page is raised.
        """
        names = {"api_key_name": api_key_name, "product_type": product_type}
        packages = {"package_name": package_name, "package_id": package_id}
        flow = charges_flow(start, end, paid_with, page_size=page_size, **names, **packages)
        return self.run(flow, deadline=monotonic_now() + seconds(timeout, "timeout"))

    async def aget_charges(
        self,
        start: datetime,
        end: datetime,
        paid_with: PaidWith | None = None,
        *,
        api_key_name: str | Sequence[str] | None = None,
        product_type: str | Sequence[str] | None = None,
        package_name: str | Sequence[str] | None = None,
        package_id: str | Sequence[str] | None = None,
        page_size: int = MAX_CHARGES,
        timeout: float | timedelta = CHARGES_TIMEOUT,
    ) -> list[Charge]:
        names = {"api_key_name": api_key_name, "product_type": product_type}
        packages = {"package_name": package_name, "package_id": package_id}
        flow = charges_flow(start, end, paid_with, page_size=page_size, **names, **packages)
        return await self.arun(flow, deadline=monotonic_now() + seconds(timeout, "timeout"))

    def get_balance(self, pack_name: str | None = None) -> Balance:
        """What the resource packs hold or, with a name, the packs that are called so. Kling's number is up to 12 hours old.

        All calls on this machine wait for their turn, so that Kling gets at most one request a second.
        """
        from airflow_provider_kling.hooks.balance import retrying_busy  # few who have a hook ask for the balance

        packs = retrying_busy(self.settings.base_url, lambda: self._read(packs_call(None, None, None), tries=1))
        return api.Balance.of(packs, now=pendulum.now("UTC"), name=pack_name)

    async def aget_balance(self, pack_name: str | None = None) -> Balance:
        from airflow_provider_kling.hooks.balance import shared_balance

        async with shared_balance(self) as reader:
            packs, read_at = await reader.packs()
            return api.Balance.of(packs, now=read_at, name=pack_name)
