"""When the next poll is planned: times are passed in, nothing sleeps."""

from __future__ import annotations

import math

import pytest

from airflow_provider_kling.client import flows
from airflow_provider_kling.dispatch.absence import COLLECT_FOR, INTERVAL, AbsenceLookups
from airflow_provider_kling.dispatch.durations import DurationModel
from airflow_provider_kling.dispatch.plan import (
    LONGEST_INTERVAL,
    LONGEST_OTHERS_PAUSE,
    LONGEST_PAUSE_WITH_OTHERS,
    LONGEST_SLOT_PAUSE,
    OTHERS_PAUSE,
    REST,
    PollPlan,
)
from airflow_provider_kling.dispatch.schedule import Schedule
from airflow_provider_kling.dispatch.slots import SlotRequest, Slots
from airflow_provider_kling.dispatch.watched import Waiter, WatchedTask, WatchedTasks

NOW = 1000.0


class Account:
    """A plan with all that it plans for."""

    def __init__(self, max_concurrency: int | None = None) -> None:
        self.watched = WatchedTasks()
        self.slots = Slots(max_concurrency)
        self.durations = DurationModel()
        self.absence = AbsenceLookups()
        self.plan = PollPlan(self.watched, self.slots, Schedule(self.durations), self.absence)

    def watch(
        self, any_id: str, *, age: float = 0.0, due: float = 5.0, poll_interval: float | None = None, seen_at: float = NOW
    ) -> WatchedTask:
        """A task that holds a slot, due in so many seconds; with a waiter, if it has an interval."""
        task = WatchedTask(any_id, since=NOW - age, due=NOW + due, seen_at=seen_at)
        self.watched.add(task)
        if poll_interval is not None:
            task.waiters.append(Waiter(poll_interval))
            self.plan.poll_by(task, task.due)
        self.slots.hold(task)
        return task

    def queue_one(self) -> SlotRequest:
        """A request that waits because Kling has refused it."""
        request = SlotRequest("g")
        self.slots.join(request)
        self.slots.grant(NOW)
        self.slots.refuse(request, now=NOW)
        self.slots.join(request)
        self.plan.slots_changed()
        return request

    @property
    def planned(self) -> float:
        """Seconds until the next poll, as planned now."""
        return self.plan.poll_at(NOW) - NOW


@pytest.fixture
async def account():
    return Account()


async def test_a_poll_is_planned_for_the_first_task_that_somebody_waits_for(account):
    assert account.planned == float("inf")
    account.watch("held", due=1.0)
    assert account.planned == float("inf")
    account.watch("later", due=9.0, poll_interval=10)
    sooner = account.watch("sooner", due=3.0, poll_interval=10)
    assert account.planned == 3
    account.plan.poll_by(sooner, NOW + 2)
    assert account.planned == 2
    account.watched.remove(sooner)
    assert account.plan.poll_at(NOW + 2) == NOW + 9
    account.plan.poll_by(account.watched.find("later"), NOW)
    assert account.planned == 0


async def test_a_question_for_absence_is_answered_soon_and_the_next_one_after_a_while(account):
    account.absence.add("w", now=NOW)
    assert account.planned == pytest.approx(COLLECT_FOR)
    account.absence.take()
    account.absence._swept_at = NOW
    account.absence.add("w", now=NOW)
    assert account.planned == INTERVAL


async def test_failed_polls_are_repeated_more_and_more_rarely(account):
    account.watch("w", due=0.0, poll_interval=10)
    pauses = []
    for _ in range(8):
        account.plan.poll_failed(now=NOW, retry_after=0.0)
        pauses.append(account.planned)
    assert pauses == [2, 4, 8, 16, 32, flows.LONGEST_TROUBLE_PAUSE, flows.LONGEST_TROUBLE_PAUSE, flows.LONGEST_TROUBLE_PAUSE]
    account.plan.failures = 0
    assert account.planned == 0


@pytest.mark.parametrize(("asked", "pause"), [(1.0, 2.0), (20.0, 20.0), (86_400.0, flows.LONGEST_TROUBLE_PAUSE)])
async def test_a_server_may_ask_for_a_pause_of_polls_but_not_for_any(account, asked, pause):
    account.watch("w", due=0.0, poll_interval=10)
    account.plan.poll_failed(now=NOW, retry_after=asked)
    assert account.planned == pause


async def test_while_nobody_waits_a_failed_poll_is_not_repeated(account):
    account.plan.poll_failed(now=NOW, retry_after=0.0)
    assert account.planned == float("inf")


async def test_while_a_request_waits_for_a_slot_a_task_without_waiters_is_polled(account):
    account.watch("held", age=40.0)
    account.queue_one()
    assert account.plan.slots_awaited
    assert account.planned == pytest.approx(10)  # a quarter of its age, while nothing is known
    account.plan.limit_is_wrong()
    assert account.planned == 0
    account.plan.poll_began()
    assert account.planned == pytest.approx(10)


async def test_requests_that_come_do_not_put_off_the_next_poll(account):
    account.watch("held", age=40.0)
    account.queue_one()
    assert account.planned == pytest.approx(10)
    for second in range(1, 10):
        account.slots.join(SlotRequest("g"))
        account.plan.slots_changed()
        assert account.plan.poll_at(NOW + second) == pytest.approx(NOW + 10)


async def test_tasks_that_nobody_has_polled_for_long_are_polled_as_soon_as_a_request_needs_their_slots(account):
    account.watch("held", age=300.0, seen_at=-math.inf)
    account.queue_one()
    assert account.planned < 0


async def test_a_poll_that_failed_has_seen_nothing(account):
    account.watch("held", age=300.0, seen_at=-math.inf)
    account.queue_one()
    account.plan.poll_at(NOW)
    account.plan.poll_failed(now=NOW, retry_after=0.0)
    account.plan.poll_ended(requests=1, failed=True, now=NOW)
    assert account.planned == 2


async def test_however_old_a_task_is_polls_for_its_slot_go_on(account):
    account.watch("held", age=86_400.0)
    account.queue_one()
    assert account.planned == LONGEST_SLOT_PAUSE
    account.slots.saw_others(1, now=NOW)
    account.plan.slots_changed()
    assert account.plan.poll_at(NOW + 1) == NOW + LONGEST_PAUSE_WITH_OTHERS


async def test_slots_that_only_others_hold_are_polled_for_too():
    account = Account(max_concurrency=2)
    account.slots.saw_others(2, now=NOW)
    account.slots.join(SlotRequest("g"))
    assert account.planned == OTHERS_PAUSE
    pauses, now = [], NOW
    for _ in range(8):
        account.plan.poll_ended(requests=1, failed=False, now=now)
        pauses.append(account.plan.poll_at(now) - now)
        now += pauses[-1]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_OTHERS_PAUSE


async def test_once_the_last_request_has_its_slot_those_who_wait_for_tasks_get_their_own_polls(account):
    old, young = account.watch("old", age=50.0, poll_interval=60), account.watch("young", due=5.0, poll_interval=60)
    request = account.queue_one()
    assert account.planned == 5
    account.plan.reschedule([old], NOW)
    assert old.due == NOW + 60  # the interval of its waiter; polls for slots come sooner
    account.slots.leave(request)
    assert account.planned == 5
    assert old.due == NOW + 10  # a fifth of its age
    assert young.due == NOW + 5


async def test_polled_tasks_are_due_after_the_interval_or_that_of_their_most_eager_waiter(account):
    held, eager = account.watch("held", age=100.0), account.watch("eager", age=100.0, poll_interval=60)
    eager.waiters.append(Waiter(4))
    account.plan.reschedule([held, eager], NOW)
    assert (held.due, eager.due) == (NOW + 20, NOW + 4)
    account.queue_one()
    account.plan.reschedule([held, eager], NOW)
    assert (held.due, eager.due) == (NOW + LONGEST_INTERVAL, NOW + 4)


async def test_a_thousand_tasks_are_polled_no_more_than_a_page_in_half_a_second(account):
    tasks = [account.watch(str(number), poll_interval=0.1) for number in range(1000)]
    account.plan.reschedule(tasks, NOW)
    assert {task.due for task in tasks} == {NOW + 1}


async def test_a_new_task_is_seen_at_once_unless_a_poll_has_just_ended(account):
    task = account.watch("w")
    assert account.plan.first_due(task, new=True, poll_interval=10, now=NOW) == NOW
    account.plan.poll_ended(requests=30, failed=False, now=NOW)
    assert account.plan.first_due(task, new=True, poll_interval=10, now=NOW) == NOW + 30 * REST


async def test_the_first_poll_of_a_known_task_is_its_own_or_after_the_interval(account):
    task = account.watch("w", due=5.0)
    assert account.plan.first_due(task, new=False, poll_interval=10, now=NOW) == NOW + 5
    assert account.plan.first_due(task, new=False, poll_interval=2, now=NOW) == NOW + 2
    account.queue_one()  # polls for slots come anyway
    assert account.plan.first_due(task, new=False, poll_interval=10, now=NOW) == NOW + 10
