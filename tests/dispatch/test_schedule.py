"""When a poll is worth it: no clock, no network."""

from __future__ import annotations

import random

import pytest

from airflow_provider_kling.dispatch.durations import DurationModel
from airflow_provider_kling.dispatch.schedule import FIRST_POLL, SHORTEST_INTERVAL, SHORTEST_SLOT_INTERVAL, Schedule


def model(*durations: float) -> DurationModel:
    taught = DurationModel()
    for seconds in durations:
        taught.add(seconds)
    return taught


def schedule(*durations: float) -> Schedule:
    """The schedule once tasks of these durations have ended."""
    return Schedule(model(*durations))


def test_young_tasks_are_not_expected_to_end_where_all_took_longer():
    taught = schedule(*(20 + number / 10 for number in range(40)))
    assert taught.ends_within(5, [1.0] * 10) < 0.2
    assert taught.ends_within(5, [19.0] * 10) > 8


def test_the_next_poll_comes_sooner_the_more_slots_may_be_free():
    taught = schedule(*(15 + number / 4 for number in range(40)))
    soon = taught.next_poll([18.0] * 10, waste=0.3, wanted=10, longest=20)
    later = taught.next_poll([3.0] * 10, waste=0.3, wanted=10, longest=20)
    assert soon < 1.5
    assert later > 8
    assert taught.next_poll([18.0], waste=0.3, wanted=10, longest=20) > soon


def test_many_waiters_are_polled_for_more_often_than_few():
    taught = schedule(*(70 + number for number in range(60)))
    few, many = taught.interval([90.0] * 3), taught.interval([90.0] * 1000)
    assert few == pytest.approx(20)
    assert many == pytest.approx(5)
    assert taught.interval([1.0] * 1000) > 2 * many  # nobody is about to end


def test_a_poll_comes_at_the_latest_when_it_must():
    assert schedule().next_poll([], waste=1, wanted=1, longest=7) == 7
    assert schedule(5, 5, 5).next_poll([1.0], waste=1e9, wanted=1, longest=7) == 7


def test_the_history_tells_what_to_expect_until_tasks_are_seen_to_end():
    durations = DurationModel()
    past, blank = Schedule(durations), schedule()
    durations.add_history([20 + number / 10 for number in range(40)])
    assert (durations.typical, durations.shortest, durations.expected) == (None, None, 22)
    assert past.ends_within(5, [1.0] * 10) < blank.ends_within(5, [1.0] * 10)
    assert past.ends_within(3, [20.0] * 10) > blank.ends_within(3, [20.0] * 10)
    for _ in range(30):
        durations.add(100)
    assert durations.expected == 100
    assert past.ends_within(5, [20.0] * 10) < 1
    durations.add_history([1.0])
    assert past.ends_within(5, [1.0] * 10) < 0.5


def test_tasks_that_outlive_all_others_teach_that_tasks_last_longer():
    taught = schedule(10, 10, 10)
    assert taught.ends_within(10, [11.0] * 3) > taught.ends_within(10, [60.0] * 3) / 2
    assert taught.ends_within(1, [30.0] * 50) < 5


def test_the_expected_count_is_about_what_really_ends():
    chance = random.Random(1)
    taught = schedule(*(chance.uniform(14, 26) for _ in range(200)))
    expected = taught.ends_within(2, [20.0] * 100)
    really = 100 * 2 / 6  # of those that live at 20 s, evenly until 26 s
    assert really * 0.6 < expected < really * 1.5


def test_ages_far_beyond_a_day_and_below_zero_are_taken():
    assert schedule(1e9, -5, 0).ends_within(10, [0.0, 1e7]) >= 0


def test_the_first_end_tells_what_to_expect_of_free_slots():
    assert model().expected is None
    assert schedule().slot_poll([40.0] * 10, wanted=5) == 10
    assert model(20).expected == 20
    assert schedule(20).slot_poll([20.0] * 10, wanted=5) < 5


def test_the_fewer_are_left_the_sooner_they_may_be_over():
    taught = schedule(*(14 + number * 0.3 for number in range(41)))
    one, ten = (taught.all_over([20.0] * count, late=0.3, longest=20) for count in (1, 10))
    assert one < ten < 20
    assert taught.all_over([1.0], late=0.3, longest=4) == 4


def test_the_last_end_is_polled_for_more_often_than_those_before_it():
    taught = schedule(*(14 + number * 0.3 for number in range(41)))
    assert taught.interval([23.0]) < taught.interval([20.0, 5.0])
    assert taught.interval([23.0]) >= 1


def test_the_first_poll_of_a_task_comes_shortly_before_the_shortest_duration():
    assert schedule().first_poll == schedule(40, 50).first_poll == FIRST_POLL
    assert schedule(40, 50, 60).first_poll == pytest.approx(32)


def test_while_nothing_is_known_the_interval_follows_the_oldest_task():
    assert schedule().interval([]) == schedule().interval([2.0]) == SHORTEST_INTERVAL
    assert schedule().interval([2.0, 100.0]) == pytest.approx(20)


def test_intervals_without_an_expected_end_are_skipped_up_to_two_of_them():
    taught = schedule(*(100 + number for number in range(60)))  # a fifth of a typical duration is 26 s
    assert taught.interval([1.0]) == pytest.approx(3 * 26)
    assert taught.interval([60.0]) == pytest.approx(2 * 26)


def test_a_poll_for_slots_is_never_sooner_than_a_quarter_of_a_second():
    assert schedule(1, 1, 1).slot_poll([1.0] * 1000, wanted=1000) == SHORTEST_SLOT_INTERVAL


def test_with_history_alone_a_poll_for_slots_comes_after_half_the_oldest_age_at_the_latest():
    durations = DurationModel()
    durations.add_history([1000.0] * 10)
    assert Schedule(durations).slot_poll([20.0], wanted=1) == 10
    assert Schedule(durations).slot_poll([1.0], wanted=1) == FIRST_POLL - 1
