"""What the model learns of how long tasks take."""

from __future__ import annotations

from airflow_provider_kling.dispatch.durations import DurationModel, sample


def model(*durations: float) -> DurationModel:
    taught = DurationModel()
    for seconds in durations:
        taught.add(seconds)
    return taught


def test_nothing_is_typical_until_enough_has_ended():
    assert model(20, 21).typical is None
    assert model(20, 21, 30).typical == 21
    assert model(20, 21, 30).shortest == 20


def test_without_an_end_nothing_is_expected_and_the_first_end_tells_what_to_expect():
    assert DurationModel().expected is None
    assert model(20).expected == 20
    assert model(20).shortest is None


def test_history_is_forgotten_once_enough_tasks_were_seen_to_end():
    durations = DurationModel()
    durations.add_history([20 + number / 10 for number in range(40)])
    durations.add(100)
    durations.add(100)
    assert durations.expected == 22
    durations.add(100)
    assert durations.expected == 100


def test_the_chance_of_an_end_grows_with_the_time_and_is_one_at_most():
    rates = model(20, 21, 22).rates([1.0])
    chances = [rates.chance(18.0, within=seconds) for seconds in (0, 1, 5, 60, 1e6)]
    assert chances == sorted(chances)
    assert chances[0] == 0
    assert chances[-1] <= 1


def test_of_very_many_running_tasks_an_even_sample_is_used():
    ages = [float(number) for number in range(1000)]
    assert sample(ages) == ages[::10]
    assert sample(ages[:100]) == ages[:100]
