"""What a sweep says of the account, and which ids it proves absent."""

from __future__ import annotations

import pendulum
import pytest

from airflow_provider_kling.api import FAILED, PROCESSING, SUCCEED, Task
from airflow_provider_kling.dispatch.absence import INTERVAL, INTERVAL_IN_QUEUE, AbsenceLookups, answer_unknown
from airflow_provider_kling.dispatch.sweep import Sweep
from airflow_provider_kling.dispatch.watched import WatchedTask

CREATED = pendulum.datetime(2026, 1, 1)


def task(kling_task_id: str, status: str = PROCESSING, *, external_id: str | None = None, took: float | None = None) -> Task:
    times = {} if took is None else {"created_at": CREATED, "updated_at": CREATED.add(seconds=took)}
    return Task(kling_task_id=kling_task_id, status=status, external_task_id=external_id, **times)


def sweep(*any_ids: str, creating: tuple[str, ...] = (), wanted: tuple[str, ...] | None = None) -> Sweep:
    watched = {any_id: WatchedTask(any_id, since=0.0, due=0.0) for any_id in any_ids}
    missing = {any_id: watched[any_id] for any_id in (any_ids if wanted is None else wanted)}
    return Sweep(watched, missing, set(creating))


def test_watched_tasks_are_found_by_either_id():
    seen = sweep("1", "mine", "3")
    assert seen.add(task("1")).any_id == "1"
    assert seen.add(task("2", external_id="mine")).any_id == "mine"
    assert seen.add(task("4", external_id="other")) is None
    assert list(seen.missing) == ["3"]
    assert seen.external_ids == {"mine", "other"}


def test_a_watched_task_that_is_not_wanted_now_is_found_all_the_same():
    seen = sweep("1", "2", wanted=("2",))
    assert seen.add(task("1")).any_id == "1"
    assert (list(seen.missing), seen.others) == (["2"], 0)


def test_running_tasks_that_nobody_watches_are_those_of_others_except_creates_under_way():
    seen = sweep("1", creating=("new",))
    for each in (task("1"), task("2"), task("3", external_id="new"), task("4", SUCCEED), task("5", "unheard of")):
        seen.add(each)
    assert seen.others == 2


def test_durations_are_those_of_done_tasks_that_nobody_watches():
    seen = sweep("1")
    for each in (task("1", SUCCEED, took=5), task("2", SUCCEED, took=20), task("3", FAILED, took=7), task("4", took=3)):
        seen.add(each)
    seen.add(task("5", SUCCEED))  # Kling tells no times
    assert seen.durations == [20, 7]


@pytest.mark.parametrize("whole", [True, False])
async def test_only_a_whole_list_proves_that_a_task_is_absent(whole):
    lookups = AbsenceLookups()
    shown, hidden = lookups.add("shown"), lookups.add("hidden")
    seen = sweep()
    seen.add(task("1", external_id="shown"))
    seen.whole = whole
    taken = lookups.take()
    assert not lookups.pending
    lookups.answer(taken, seen, begun_at=100.0)
    assert (shown.result(), hidden.result()) == (False, whole)
    assert lookups.too_many_tasks is not whole
    assert lookups.due(slots_awaited=False) == 100 + INTERVAL
    assert lookups.due(slots_awaited=True) == 100 + INTERVAL_IN_QUEUE


async def test_where_nobody_knows_no_task_is_absent_and_an_answer_stays():
    lookups = AbsenceLookups()
    known, unknown, late = lookups.add("known"), lookups.add("unknown"), lookups.add("late")
    first, *_ = taken = lookups.take()
    first.resolve(absent=True)
    answer_unknown(taken)
    assert [future.result() for future in (known, unknown, late)] == [True, False, False]
    pending = lookups.add("pending")
    lookups.give_up()
    assert pending.result() is False
