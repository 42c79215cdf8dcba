"""What is learned of how long tasks take, and when a look is worth it."""

from __future__ import annotations

import random

import pytest

from airflow_provider_kling.dispatch.durations import DurationModel


def taught(*times: float) -> DurationModel:
    pace = DurationModel()
    for took in times:
        pace.ended(took)
    return pace


def test_nothing_is_typical_until_enough_has_ended():
    assert taught(20, 21).typical is None
    assert taught(20, 21, 30).typical == 21
    assert taught(20, 21, 30).shortest == 20


def test_young_tasks_are_not_expected_to_end_where_all_took_longer():
    pace = taught(*(20 + number / 10 for number in range(40)))
    assert pace.ends_within(5, [1.0] * 10) < 0.2
    assert pace.ends_within(5, [19.0] * 10) > 8


def test_the_next_look_comes_sooner_the_more_slots_may_be_free():
    pace = taught(*(15 + number / 4 for number in range(40)))
    soon = pace.next_look([18.0] * 10, waste=0.3, wanted=10, longest=20)
    later = pace.next_look([3.0] * 10, waste=0.3, wanted=10, longest=20)
    assert soon < 1.5
    assert later > 8
    assert pace.next_look([18.0], waste=0.3, wanted=10, longest=20) > soon


def test_many_who_wait_are_looked_for_more_often_than_few():
    pace = taught(*(70 + number for number in range(60)))
    few, many = pace.interval([90.0] * 3), pace.interval([90.0] * 1000)
    assert few == pytest.approx(20)
    assert many == pytest.approx(5)
    assert pace.interval([1.0] * 1000) > 2 * many  # nobody is about to end


def test_a_look_comes_at_the_latest_when_it_must():
    assert DurationModel().next_look([], waste=1, wanted=1, longest=7) == 7
    assert taught(5, 5, 5).next_look([1.0], waste=1e9, wanted=1, longest=7) == 7


def test_the_past_tells_what_to_expect_until_tasks_are_seen_to_end():
    past, blank = DurationModel(), DurationModel()
    past.ended_before([20 + number / 10 for number in range(40)])
    assert (past.typical, past.shortest, past.expected) == (None, None, 22)
    assert past.ends_within(5, [1.0] * 10) < blank.ends_within(5, [1.0] * 10)
    assert past.ends_within(3, [20.0] * 10) > blank.ends_within(3, [20.0] * 10)
    for _ in range(30):
        past.ended(100)
    assert past.expected == 100
    assert past.ends_within(5, [20.0] * 10) < 1
    past.ended_before([1.0])
    assert past.ends_within(5, [1.0] * 10) < 0.5


def test_tasks_that_outlive_all_others_teach_that_tasks_last_longer():
    pace = taught(10, 10, 10)
    assert pace.ends_within(10, [11.0] * 3) > pace.ends_within(10, [60.0] * 3) / 2
    assert pace.ends_within(1, [30.0] * 50) < 5


def test_the_expected_count_is_about_what_really_ends():
    chance = random.Random(1)
    pace = taught(*(chance.uniform(14, 26) for _ in range(200)))
    expected = pace.ends_within(2, [20.0] * 100)
    really = 100 * 2 / 6  # of those that live at 20 s, evenly until 26 s
    assert really * 0.6 < expected < really * 1.5


def test_ages_far_beyond_a_day_and_below_zero_are_taken():
    assert taught(1e9, -5, 0).ends_within(10, [0.0, 1e7]) >= 0


def test_the_first_end_tells_what_to_expect_of_free_slots():
    assert DurationModel().expected is None
    assert DurationModel().contested_look([40.0] * 10, wanted=5) == 10
    assert taught(20).expected == 20
    assert taught(20).contested_look([20.0] * 10, wanted=5) < 5


def test_the_fewer_are_left_the_sooner_they_may_be_over():
    pace = taught(*(14 + number * 0.3 for number in range(41)))
    one, ten = (pace.all_over([20.0] * count, late=0.3, longest=20) for count in (1, 10))
    assert one < ten < 20
    assert pace.all_over([1.0], late=0.3, longest=4) == 4


def test_the_last_end_is_looked_for_more_often_than_those_before_it():
    pace = taught(*(14 + number * 0.3 for number in range(41)))
    assert pace.interval([23.0]) < pace.interval([20.0, 5.0])
    assert pace.interval([23.0]) >= 1
