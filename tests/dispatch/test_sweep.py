"""What a sweep says of the account, and which ids it proves absent."""

from __future__ import annotations

import pendulum
import pytest

from airflow_provider_kling.api import FAILED, PROCESSING, SUCCEED, Task
from airflow_provider_kling.dispatch.absence import COLLECT_FOR, INTERVAL, INTERVAL_IN_QUEUE, AbsenceLookups, answer_unknown
from airflow_provider_kling.dispatch.sweep import Sweep
from airflow_provider_kling.dispatch.watched import WatchedTask, WatchedTasks

CREATED = pendulum.datetime(2026, 1, 1)


def task(kling_task_id: str, status: str = PROCESSING, *, external_id: str | None = None, took: float | None = None) -> Task:
    times = {} if took is None else {"created_at": CREATED, "updated_at": CREATED.add(seconds=took)}
    return Task(kling_task_id=kling_task_id, status=status, external_task_id=external_id, **times)


class Seen:
    """A sweep, and the tasks that are watched meanwhile."""

    def __init__(self, *any_ids: str, creating: tuple[str, ...] = (), wanted: tuple[str, ...] | None = None) -> None:
        self.watched = WatchedTasks()
        tasks = {any_id: WatchedTask(any_id, since=0.0, due=0.0) for any_id in any_ids}
        for each in tasks.values():
            self.watched.add(each)
        missing = dict.fromkeys(tasks[any_id] for any_id in (any_ids if wanted is None else wanted))
        self.sweep = Sweep(missing, set(creating))

    def add(self, shown: Task) -> str | None:
        """The id under which a shown task is watched."""
        same = self.watched.merge(shown)
        self.sweep.add(shown, same)
        return same[0].any_id if same else None

    @property
    def missing(self) -> list[str]:
        return [each.any_id for each in self.sweep.missing]


def test_watched_tasks_are_found_by_either_id():
    seen = Seen("1", "mine", "3")
    assert seen.add(task("1")) == "1"
    assert seen.add(task("2", external_id="mine")) == "mine"
    assert seen.add(task("4", external_id="other")) is None
    assert seen.missing == ["3"]
    assert seen.sweep.external_ids == {"mine", "other"}
    assert seen.sweep.kling_task_ids == {"1", "2", "4"}


def test_a_task_that_is_watched_by_both_of_its_ids_is_one_from_then_on():
    seen = Seen("2", "mine")
    assert seen.add(task("2", external_id="mine")) == "2"
    assert (len(seen.watched), seen.missing) == (1, [])
    assert seen.watched.find("2") is seen.watched.find("mine")


def test_a_second_task_of_one_external_id_is_not_taken_for_the_first():
    seen = Seen("1")
    assert seen.add(task("1", external_id="mine")) == "1"
    assert seen.add(task("2", external_id="mine")) is None
    assert seen.watched.find("mine").query_id == "1"


def test_a_watched_task_that_is_not_wanted_now_is_found_all_the_same():
    seen = Seen("1", "2", wanted=("2",))
    assert seen.add(task("1")) == "1"
    assert (seen.missing, seen.sweep.others) == (["2"], 0)


def test_running_tasks_that_nobody_watches_are_those_of_others_except_creates_under_way():
    seen = Seen("1", creating=("new",))
    for each in (task("1"), task("2"), task("3", external_id="new"), task("4", SUCCEED), task("5", "unheard of")):
        seen.add(each)
    assert seen.sweep.others == 2


def test_a_task_that_a_list_shows_twice_counts_once():
    seen = Seen()
    for each in (task("1"), task("1"), task("2"), task("2", SUCCEED)):
        seen.add(each)
    assert seen.sweep.others == 1


def test_durations_are_those_of_done_tasks_that_nobody_watches():
    seen = Seen("1")
    for each in (task("1", SUCCEED, took=5), task("2", SUCCEED, took=20), task("3", FAILED, took=7), task("4", took=3)):
        seen.add(each)
    seen.add(task("5", SUCCEED))  # Kling tells no times
    assert seen.sweep.durations == [20, 7]


@pytest.mark.parametrize("whole", [True, False])
async def test_only_a_whole_list_proves_that_a_task_is_absent(whole):
    lookups = AbsenceLookups()
    shown, hidden = lookups.add("shown", now=90.0), lookups.add("hidden", now=95.0)
    assert lookups.due(slots_awaited=False) == 90 + COLLECT_FOR
    seen = Seen()
    seen.add(task("1", external_id="shown"))
    seen.sweep.whole = whole
    taken = lookups.take()
    assert not lookups.pending
    lookups.answer(taken, seen.sweep, begun_at=100.0)
    assert (shown.answer.result(), hidden.answer.result()) == (False, whole)
    assert lookups.unprovable is not whole
    assert lookups.shows_all_known(seen.sweep) is whole
    assert not lookups.shows_all_known(Seen().sweep)
    assert lookups.due(slots_awaited=False) == float("inf")
    lookups.add("next", now=100.0)
    assert lookups.due(slots_awaited=False) == 100 + INTERVAL
    assert lookups.due(slots_awaited=True) == 100 + INTERVAL_IN_QUEUE


async def test_a_list_that_does_not_show_a_task_of_ours_proves_no_absence():
    lookups = AbsenceLookups()
    lookup = lookups.add("w", now=0.0)
    seen = Seen("1")
    seen.sweep.whole = True
    lookups.answer(lookups.take(), seen.sweep, begun_at=0.0)
    assert lookup.answer.result() is False
    assert lookups.unprovable


async def test_where_nobody_knows_no_task_is_absent_and_an_answer_stays():
    lookups = AbsenceLookups()
    known, unknown, late = (lookups.add(name, now=0.0) for name in ("known", "unknown", "late"))
    first, *_ = taken = lookups.take()
    first.resolve(absent=True)
    answer_unknown(taken)
    assert [lookup.answer.result() for lookup in (known, unknown, late)] == [True, False, False]
    pending, withdrawn = lookups.add("pending", now=0.0), lookups.add("withdrawn", now=0.0)
    lookups.withdraw(withdrawn)
    lookups.give_up()
    assert pending.answer.result() is False
    assert not withdrawn.answer.done()
