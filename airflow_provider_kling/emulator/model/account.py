"""The account: its tasks, slots and units, as a pure state machine. Callers pass the current time."""

from __future__ import annotations

import heapq
import math
import random
import secrets
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from typing import Any

from airflow_provider_kling.api import EXISTS, NOT_FOUND, PaidWith, Product, ReceivedChargeQuery, Refusal
from airflow_provider_kling.emulator.model.billing import Billing
from airflow_provider_kling.emulator.model.settings import BY_SCENE, Settings
from airflow_provider_kling.emulator.model.task import SUBMITTED_SHARE, Order, Plan, Record
from airflow_provider_kling.emulator.model.task_list import TaskList


class Account:
    """The tasks of one account, of all products. Methods raise Refusal where the API answers with an error.

    All products share the slots, the units and the external ids; each has a list of its own. You may replace
    `settings` at any time; new settings hold for what comes after. `now` never goes back.
    """

    def __init__(self, settings: Settings, *, now: float) -> None:
        self.settings = settings
        self.plans: list[Plan] = []
        self.occupied = 0  # slots that other programs use
        self._random = random.Random(settings.seed)  # noqa: S311 - it decides durations and orders only
        self.billing = Billing(opened_at=now)
        # 18 digits, too many for a float. Another emulator starts elsewhere, even in the same millisecond, so it does not know the
        # ids of this one.
        self._first_id = int(now * 1000) * 10**5 + secrets.randbelow(10**5)
        self._records: list[Record] = []  # all tasks ever made, by serial
        self._lists: dict[str, TaskList] = {}  # by the product's path
        self._by_id: dict[str, Record] = {}
        self._by_external_id: dict[str, Record] = {}
        self._running = 0
        self._ends: list[tuple[float, int]] = []  # heap; an entry counts only if it is still the task's end
        self._notices: list[tuple[float, int]] = []  # heap of status changes of tasks with a callback_url
        self._costs_at = -math.inf

    # --- Requests of the API ----------------------------------------------------------------------------------

    def create(self, order: Order, *, now: float) -> Record:
        """Make a task. Raises Refusal, and makes none, if the external id is in use or slots or units are used up."""
        existing = self._by_external_id.get(order.external_task_id or "")
        if existing and not (self.settings.free_failed_ids and existing.done(now) and existing.failure):
            raise Refusal(1201, EXISTS.format(id=order.external_task_id))
        if self.used(now) >= self.settings.slots:
            raise Refusal(1303)
        if not self.billing.can_pay(Decimal(self._price_of(order.title)), self.settings, now=now):
            raise Refusal(1102)
        record = self._make_record(order, self._plan_for(order), now)
        self._records.append(record)
        self._list_of(order.product).add(record)
        self._by_id[record.kling_task_id] = record
        if order.external_task_id:
            self._by_external_id[order.external_task_id] = record
        self._running += 1
        self.billing.reserved += Decimal(record.price)
        self._schedule_end(record)
        if order.callback_url:
            for moment in (record.created_at, record.starts_at):
                heapq.heappush(self._notices, (moment, record.serial))
        return record

    def find(self, any_id: str, *, product: Product | None = None) -> Record | None:
        """The task with this task id or external id, of this product if one is given; None if there is none."""
        record = self._by_id.get(any_id) or self._by_external_id.get(any_id)
        return record if record and product in (None, record.order.product) else None

    def get(self, any_id: str, *, product: Product | None = None) -> Record:
        """As `find`, but raises Refusal 1201 if there is none."""
        record = self.find(any_id, product=product)
        if record is None:
            raise Refusal(1201, NOT_FOUND.format(id=any_id))
        return record

    def page(self, product: Product, number: int, size: int) -> list[Record]:
        """One page of the product's list, in the order of the settings."""
        return self._list_of(product).page(number, size, order=self.settings.list_order)

    def costs(self, *, now: float, name: str | None) -> dict[str, Any]:
        """The account's resource packs. Raises Refusal 1302 if it is called too often."""
        if now - self._costs_at < self.settings.costs_interval:
            raise Refusal(1302)
        self._costs_at = now
        self._release(now)
        return self.billing.costs(self.settings, now=now, name=name)

    def charges(self, paid_with: PaidWith, query: ReceivedChargeQuery, *, now: float) -> dict[str, Any]:
        """A page of what was charged. Raises Refusal 1302 if it is called too often, 1201 for a wrong cursor."""
        self._release(now)
        return self.billing.query(paid_with, query, self.settings, now=now)

    def charge_other(self, units: Decimal, *, now: float, kling_task_id: str = "", api_key_name: str = "another program") -> str:
        """Charge a task that another program made, and that no list of this account shows. Returns its id."""
        self._release(now)
        any_id = kling_task_id or str(self._first_id + 37 * len(self._records) + 1 + len(self.billing.lines) * 10**7)
        facts = {"kling_task_id": any_id, "api_key_name": api_key_name, "function": "Image to Video"}
        self.billing.charge(units, self.settings, at=now, created_at=now, **facts)
        return any_id

    @property
    def spent(self) -> Decimal:
        """The units of all charges so far."""
        return self.billing.spent

    def used(self, now: float) -> int:
        """How many slots are in use, also by other programs."""
        self._release(now)
        return self._running + self.occupied

    def units(self, record: Record) -> str:
        """What the task costs at its end."""
        return record.price if not record.failure or self.settings.charge_failed else "0"

    # --- Steering of tasks ------------------------------------------------------------------------------------

    def finish(self, record: Record, *, now: float, failure: str | None = None) -> None:
        """End the task now; with a message, as a failed one. A done task stays as it is."""
        if record.done(now):
            return
        record.failure = record.failure if failure is None else failure
        record.ends_at = now
        self._schedule_end(record)

    def hold(self, record: Record, *, now: float) -> None:
        """Keep the task from ending by itself. A done task stays as it is."""
        if not record.done(now):
            record.ends_at = math.inf

    def forget(self, record: Record) -> None:
        """Remove the task from all queries. It keeps its slot until its end."""
        record.forgotten = True
        self._list_of(record.order.product).remove(record)
        del self._by_id[record.kling_task_id]
        external_id = record.order.external_task_id or ""
        if self._by_external_id.get(external_id) is record:
            del self._by_external_id[external_id]

    # --- Reading ----------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._records)

    @property
    def records(self) -> list[Record]:
        """All tasks ever made, the oldest first."""
        return self._records

    def running(self, now: float) -> int:
        """How many tasks hold a slot."""
        self._release(now)
        return self._running

    def slot_use(self, now: float) -> list[tuple[float, int]]:
        """Each moment at which the number of running tasks changed, and the number from then on."""
        changes: dict[float, int] = {}
        for record in self._records:
            changes[record.created_at] = changes.get(record.created_at, 0) + 1
            if record.done(now):
                changes[record.ends_at] = changes.get(record.ends_at, 0) - 1
        used, line = 0, []
        for moment in sorted(changes):
            used += changes[moment]
            line.append((moment, used))
        return line

    def notices(self, now: float) -> Iterator[tuple[Record, float]]:
        """Each status change up to now of a task with a callback_url, with its moment. Each comes once."""
        while self._notices and self._notices[0][0] <= now:
            moment, serial = heapq.heappop(self._notices)
            record = self._records[serial]
            status = record.status(moment)
            if status != record.announced:
                record.announced = status
                yield record, moment

    def next_notice(self) -> float | None:
        """When the next status change is due; None if there is none."""
        return self._notices[0][0] if self._notices else None

    # --- Inside -----------------------------------------------------------------------------------------------

    def _make_record(self, order: Order, plan: Plan, now: float) -> Record:
        serial = len(self._records)
        duration = self.settings.duration * (1 + self.settings.jitter * self._random.uniform(-1, 1))
        duration = math.inf if plan.never else duration if plan.duration is None else plan.duration
        finite = duration if math.isfinite(duration) else self.settings.duration
        return Record(
            serial=serial,
            kling_task_id=str(self._first_id + 37 * serial),
            order=order,
            created_at=now,
            starts_at=now + finite * SUBMITTED_SHARE,
            ends_at=now + duration,
            price=self._price_of(order.title),
            failure=plan.fail or order.failure,
            status_override=plan.status,
        )

    def _price_of(self, title: str) -> str:
        price = self.settings.price_of(title)
        return price if price is not None else _price(title) if self.settings.units == BY_SCENE else self.settings.units

    def _plan_for(self, order: Order) -> Plan:
        for plan in self.plans:
            if plan.matches(order):
                if plan.times is not None:
                    plan.times -= 1
                    if not plan.times:
                        self.plans.remove(plan)
                return plan
        return Plan()

    def _list_of(self, product: Product) -> TaskList:
        if product.path not in self._lists:
            self._lists[product.path] = TaskList(self._random)
        return self._lists[product.path]

    def _schedule_end(self, record: Record) -> None:
        if math.isfinite(record.ends_at):
            heapq.heappush(self._ends, (record.ends_at, record.serial))
            if record.order.callback_url:
                heapq.heappush(self._notices, (record.ends_at, record.serial))

    def _release(self, now: float) -> None:
        """Free the slots of tasks that have ended by now, and charge their price."""
        while self._ends and self._ends[0][0] <= now:
            moment, serial = heapq.heappop(self._ends)
            record = self._records[serial]
            if record.holds_slot and record.ends_at == moment:
                record.holds_slot = False
                self._running -= 1
                self.billing.reserved -= Decimal(record.price)
                self._charge(record, moment)

    def _charge(self, record: Record, moment: float) -> None:
        units = Decimal(self.units(record))
        if units:
            self.billing.charge(
                units,
                self.settings,
                at=moment,
                created_at=record.created_at,
                kling_task_id=record.kling_task_id,
                api_key_name=record.order.credential,
            )


def _price(title: str) -> str:
    """A price from 1 to 5.5 units, always the same for a title."""
    return str(Decimal(2 + sha256(title.encode()).digest()[0] % 10) / 2)
