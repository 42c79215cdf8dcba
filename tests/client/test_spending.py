"""The file in which the caps of a connection are counted: by processes at once, over days and months, and after crashes."""

from __future__ import annotations

import json
import multiprocessing
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_provider_kling.api import Task
from airflow_provider_kling.caps import AccountCap
from airflow_provider_kling.client import Spending
from airflow_provider_kling.client.flows import Reserve, Reserved
from airflow_provider_kling.errors import KlingCappedError, KlingInputError, KlingStorageError


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def count_of(folder: Path, clock=None, *, price="2.5", **caps) -> Spending:
    cost = None if price is None else Decimal(price)
    return Spending(folder, "kling/default", AccountCap.of(caps), price=lambda _: cost, now=clock or Clock())


def take(count: Spending, external_id: str, *, listed: tuple[Task, ...] = ()) -> Reserved:
    """A place for this id; the account's list shows these tasks where it is asked for."""
    reserved = count.reserve(Reserve(external_id, "squish"))
    if reserved is Reserved.LIST_FIRST:
        reserved = count.reserve(Reserve(external_id, "squish", listed=listed, pages=1))
    return reserved


def task(name: str, created_at: datetime, **facts) -> Task:
    import pendulum

    return Task(
        kling_task_id=f"k-{name}", external_task_id=name, status=facts.pop("status", "succeed"),
        created_at=pendulum.instance(created_at), **facts,
    )  # fmt: skip


def test_a_place_is_taken_once_for_each_id(tmp_path):
    count = count_of(tmp_path, max_videos_per_day=2)
    assert [take(count, name) for name in ("a", "b", "a")] == [Reserved.NEW, Reserved.NEW, Reserved.HAD]
    with pytest.raises(KlingCappedError, match=r"max_videos_per_day=2, and 2 were made this day"):
        take(count, "c")
    count.give_back("a")  # another attempt relies on it
    with pytest.raises(KlingCappedError):
        take(count, "c")
    count.give_back("b")
    assert take(count, "c") is Reserved.NEW


def test_a_new_day_and_a_new_month_begin_at_midnight_utc(tmp_path, clock):
    count = count_of(tmp_path, clock, max_videos_per_day=1, max_videos_per_month=2)
    clock.now = datetime(2026, 11, 29, 23, 59, tzinfo=timezone.utc)
    take(count, "a")
    clock.now += timedelta(minutes=2)
    take(count, "b")
    clock.now = datetime(2026, 11, 30, 23, 59, tzinfo=timezone.utc)
    with pytest.raises(KlingCappedError, match="this day"):
        take(count, "c")
    clock.now += timedelta(minutes=2)
    assert take(count, "c") is Reserved.NEW
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kling_default-2026-11.jsonl", "kling_default-2026-12.jsonl"]


def test_a_place_of_an_earlier_day_becomes_one_of_today(tmp_path, clock):
    count = count_of(tmp_path, clock, max_videos_per_day=1, max_videos_per_month=2)
    clock.now = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
    take(count, "yesterday")
    clock.now += timedelta(days=1)
    take(count, "today")
    with pytest.raises(KlingCappedError, match="this day"):
        take(count, "yesterday")
    count.give_back("today")
    assert take(count, "yesterday") is Reserved.HAD
    with pytest.raises(KlingCappedError, match="this day"):
        take(count, "today")


def test_units_are_counted(tmp_path):
    count = count_of(tmp_path, max_units_per_day="7")
    take(count, "a")
    take(count, "b")
    with pytest.raises(KlingCappedError, match=r"max_units_per_day=7, and 5.0 units were spent"):
        take(count, "c")


def test_units_without_any_price_need_a_number_of_videos(tmp_path):
    with pytest.raises(KlingCappedError, match="no price is known"):
        take(count_of(tmp_path, price=None, max_units_per_month=7), "a")
    assert take(count_of(tmp_path, price=None, max_units_per_month=7, max_videos_per_month=1), "a") is Reserved.NEW


def test_what_others_have_made_counts(tmp_path, clock):
    shown = (
        task("theirs", clock.now),
        task("failed", clock.now, status="failed"),
        task("yesterday", clock.now - timedelta(days=1), units="3"),
        task("last month", clock.now - timedelta(days=40)),
        task(f"airflow-{1:040x}-2", clock.now),
    )
    count = count_of(tmp_path, clock, max_videos_per_day=3, max_units_per_month=100)
    assert take(count, "mine", listed=shown) is Reserved.NEW
    assert take(count, f"airflow-{1:040x}") is Reserved.HAD
    with pytest.raises(KlingCappedError, match="3 were made"):
        take(count, "more")


def test_the_list_is_read_again_after_a_while_and_the_more_rarely_the_longer_it_is(tmp_path, clock):
    count = count_of(tmp_path, clock, max_videos_per_day=9)
    count.reserve(Reserve("a", "squish", listed=(), pages=20))
    clock.now += timedelta(seconds=150)
    assert count.reserve(Reserve("b", "squish")) is Reserved.NEW
    clock.now += timedelta(seconds=100)
    assert count.reserve(Reserve("c", "squish")) is Reserved.LIST_FIRST


def test_another_process_sees_it_and_a_line_that_a_crash_has_cut_off_harms_nothing(tmp_path):
    first, second = (count_of(tmp_path, max_videos_per_day=3) for _ in range(2))
    take(first, "a")
    (path,) = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(b'{"id": "b", "day": "2026-1')
    assert take(second, "b") is Reserved.NEW
    assert take(first, "b") is Reserved.HAD
    assert take(first, "c") is Reserved.NEW
    with pytest.raises(KlingCappedError):
        take(second, "d")
    ids = [json.loads(line).get("id") for line in path.read_text().splitlines() if line.endswith("}")]
    assert [name for name in ids if name] == ["a", "b", "b", "c"]


def test_a_file_that_was_deleted_is_begun_anew_from_the_list(tmp_path, clock):
    count = count_of(tmp_path, clock, max_videos_per_day=1)
    take(count, "a")
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(KlingCappedError):
        take(count, "b", listed=(task("a", clock.now),))


def test_a_folder_that_cannot_be_written_is_an_error_before_anything_is_sent(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KlingStorageError, match=r"spending_folder"):
        take(count_of(tmp_path / "file", max_videos_per_day=1), "a")


def grab(folder: str, name: str, taken) -> None:
    count = count_of(Path(folder), max_videos_per_day=50)
    for number in range(40):
        try:
            taken.put(take(count, f"{name}-{number}") is Reserved.NEW)
        except KlingCappedError:
            taken.put(False)


def test_processes_at_once_take_each_place_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    taken = context.Queue()
    processes = [context.Process(target=grab, args=(str(tmp_path), f"p{number}", taken)) for number in range(3)]
    for process in processes:
        process.start()
    results = [taken.get(timeout=60) for _ in range(120)]
    for process in processes:
        process.join()
    assert sum(results) == 50


@pytest.mark.parametrize("name", ["max_videos_per_day", "max_units_per_month"])
def test_what_is_no_number_is_refused_with_its_name(name):
    with pytest.raises(KlingInputError, match=f"{name} is 'many'"):
        AccountCap.of({name: "many"})
