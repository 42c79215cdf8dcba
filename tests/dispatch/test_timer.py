"""When the next poll is planned: at a fixed time, without a sleep."""

from __future__ import annotations

import time

import pytest

from airflow_provider_kling.client import flows
from airflow_provider_kling.dispatch.absence import INTERVAL, AbsenceLookups
from airflow_provider_kling.dispatch.durations import DurationModel
from airflow_provider_kling.dispatch.schedule import Schedule
from airflow_provider_kling.dispatch.slots import SlotRequest, Slots
from airflow_provider_kling.dispatch.timer import LONGEST_SLEEP, REST, PollTimer
from airflow_provider_kling.dispatch.watched import Waiter, WatchedTask

NOW = 1_800_000_000.0


class Account:
    """A timer with all that it plans for."""

    def __init__(self) -> None:
        self.watched: dict[str, WatchedTask] = {}
        self.slots = Slots()
        self.durations = DurationModel()
        self.absence = AbsenceLookups()
        self.timer = PollTimer(self.watched, self.slots, Schedule(self.durations), self.absence)

    def watch(self, any_id: str, *, age: float = 0.0, due: float = 5.0, poll_interval: float | None = None) -> WatchedTask:
        """A task that holds a slot, due in so many seconds; with a waiter, if it has an interval."""
        task = self.watched[any_id] = WatchedTask(any_id, since=NOW - age, due=NOW + due)
        if poll_interval is not None:
            task.waiters.append(Waiter(poll_interval))
        self.slots.hold(any_id)
        return task

    def queue_one(self) -> SlotRequest:
        """A request that waits because Kling has refused it."""
        request = SlotRequest("g")
        self.slots.join(request)
        self.slots.grant(NOW)
        self.slots.refuse(request, now=NOW)
        self.slots.join(request)
        return request

    @property
    def planned(self) -> float:
        """Seconds until the next poll, as planned now."""
        self.timer.plan()
        return self.timer._next - NOW


@pytest.fixture
async def account(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: NOW)
    return Account()


async def test_a_poll_is_planned_for_the_first_task_that_somebody_waits_for(account):
    assert account.planned == float("inf")
    account.watch("held", due=1.0)
    assert account.planned == float("inf")
    account.watch("later", due=9.0, poll_interval=10)
    account.watch("sooner", due=3.0, poll_interval=10)
    assert account.planned == 3
    account.timer.poll_by(NOW + 4)
    account.timer.poll_by(NOW + 2)
    assert account.timer._next == NOW + 2
    assert not account.timer.due
    account.timer.poll_by(0.0)
    assert account.timer.due


async def test_a_question_for_absence_is_answered_at_once_and_the_next_one_after_a_while(account):
    account.absence.add("w")
    assert account.planned == 0
    account.absence.take()
    account.absence._swept_at = NOW
    account.absence.add("w")
    assert account.planned == INTERVAL


async def test_failed_polls_are_repeated_more_and_more_rarely(account):
    account.watch("w", due=0.0, poll_interval=10)
    pauses = []
    for failures in range(1, 9):
        account.timer.failures = failures
        pauses.append(account.planned)
    assert pauses == [2, 4, 8, 16, 32, flows.LONGEST_TROUBLE_PAUSE, flows.LONGEST_TROUBLE_PAUSE, flows.LONGEST_TROUBLE_PAUSE]


async def test_while_a_request_waits_for_a_slot_a_task_without_waiters_is_polled(account):
    account.watch("held", age=40.0)
    account.queue_one()
    assert account.timer.slots_awaited
    assert account.planned == pytest.approx(10)  # a quarter of its age, while nothing is known
    account.timer.create_refused()
    assert account.planned == 0
    account.timer.poll_began()
    assert account.planned == pytest.approx(10)


async def test_once_the_last_request_has_its_slot_those_who_wait_for_tasks_get_their_own_polls(account):
    old, young = account.watch("old", age=50.0, poll_interval=60), account.watch("young", due=5.0, poll_interval=60)
    request = account.queue_one()
    account.timer.plan()
    account.timer.reschedule([old])
    assert old.due == NOW + 60  # the interval of its waiter; polls for slots come sooner
    account.slots.leave(request)
    account.timer.slots_changed()
    assert old.due == NOW + 10  # a fifth of its age
    assert young.due == NOW + 5
    assert account.timer._next == NOW + 5


async def test_polled_tasks_are_due_after_the_interval_or_that_of_their_most_eager_waiter(account):
    held, eager = account.watch("held", age=100.0), account.watch("eager", age=100.0, poll_interval=60)
    eager.waiters.append(Waiter(4))
    account.timer.reschedule([held, eager])
    assert (held.due, eager.due) == (NOW + 20, NOW + 4)
    account.queue_one()
    account.timer.reschedule([held, eager])
    assert (held.due, eager.due) == (NOW + LONGEST_SLEEP, NOW + 4)


async def test_a_thousand_tasks_are_polled_no_more_than_a_page_in_half_a_second(account):
    tasks = [account.watch(str(number), poll_interval=0.1) for number in range(1000)]
    account.timer.reschedule(tasks)
    assert {task.due for task in tasks} == {NOW + 1}


async def test_a_new_task_is_polled_at_once_unless_a_poll_has_just_ended(account):
    task = account.watch("w")
    assert account.timer.first_due(task, new=True, poll_interval=10, now=NOW) == NOW
    account.timer.poll_ended(requests=30)
    assert account.timer.first_due(task, new=True, poll_interval=10, now=NOW) == NOW + 30 * REST


async def test_the_first_poll_of_a_known_task_is_its_own_or_after_the_interval(account):
    task = account.watch("w", due=5.0)
    assert account.timer.first_due(task, new=False, poll_interval=10, now=NOW) == NOW + 5
    assert account.timer.first_due(task, new=False, poll_interval=2, now=NOW) == NOW + 2
    account.queue_one()  # polls for slots come anyway
    assert account.timer.first_due(task, new=False, poll_interval=10, now=NOW) == NOW + 10


async def test_the_sleep_ends_when_the_plan_changes_or_a_poll_is_due(account):
    account.timer.wake()
    account.timer.poll_by(NOW)
    await account.timer.sleep()
    assert account.timer.due
