"""The pure parts of the capacity simulation (benchmarks/day*.py), and one small day."""

from __future__ import annotations

import sys

import pytest
from places import ROOT

sys.path.append(str(ROOT / "benchmarks"))
from day import counted, levels, summarize
from day_account import KINDS, OLD, AccountDay, simulate_account
from day_costs import WAITERS, backlog, machines, triggerers_needed, waiters
from day_load import MAP_LENGTH, DayLoad, accounts_needed, arrivals, dag_runs, manifest_sizes

SMALL = DayLoad(30, "mapped", slots=5, seconds=20, length=1200.0, manifests=2, all_accounts=1)


@pytest.mark.parametrize("videos", [1, 23, 1000, 40_650])
def test_the_manifests_of_a_day_have_all_videos(videos):
    sizes = manifest_sizes(videos)
    assert (len(sizes), sum(sizes)) == (24, videos)
    assert min(sizes) >= 0
    if videos >= 1000:
        assert sizes.index(max(sizes)) == 14
        assert max(sizes) == pytest.approx(1.5 * videos / 24, abs=1)


@pytest.mark.parametrize("way", ["batch", "mapped"])
def test_accounts_share_all_videos_and_each_row_arrives(way):
    load = DayLoad(1_000, way, slots=1, seconds=180)
    assert load.accounts == accounts_needed(1_000, 1, 180, 0.85) == 3  # 2.08 slots busy all day, at 85 %
    shares = [load.of_account(number) for number in range(load.accounts)]
    assert sum(shares) == 1_000
    times = [at for at, _ in arrivals(load, shares[0])]
    assert len(times) == shares[0]
    assert times == sorted(times)
    assert times[-1] < load.length


def test_more_rows_than_airflow_maps_are_more_dag_runs():
    one = DayLoad(24 * MAP_LENGTH, "mapped", all_accounts=1)
    assert dag_runs(one) == sum(1 if size <= MAP_LENGTH else 2 for size in manifest_sizes(one.videos))
    assert dag_runs(DayLoad(24 * MAP_LENGTH, "batch", all_accounts=1)) == 24


def test_the_backlog_is_what_the_slots_leave():
    full = DayLoad(24_000, "batch", slots=10, seconds=86.4, utilization=1.0)  # 10 slots make 416 videos an hour, 1,000 come
    assert full.accounts == 3
    enough = DayLoad(24_000, "batch", slots=10, seconds=86.4, all_accounts=100)
    assert backlog(enough) == manifest_sizes(24_000)
    assert max(backlog(full)) > max(backlog(enough))


def test_a_batch_is_one_trigger_a_manifest_and_a_mapped_row_one_each():
    batch, mapped = DayLoad(240_000, "batch", all_accounts=4), DayLoad(240_000, "mapped", all_accounts=4)
    assert waiters(mapped, 25_000) == 25_000
    assert waiters(batch, 25_000) == 4 * (3 + 1)
    assert triggerers_needed(mapped, 25_000) == 3 == -(-25_000 // WAITERS)
    assert triggerers_needed(batch, 25_000) == 2
    need = machines(mapped, 25_000)
    assert sum(need.mean_cores.values()) == pytest.approx(240_000 / 86_400 * 99 / 300, rel=0.01)
    assert need.worker_slots == 17  # 4.2 rows a second in the busiest hour, each for two seconds, and as many again
    assert machines(batch, 25_000).worker_slots == 2
    assert need.task_instances == 240_000 + 2 * need.dag_runs


def test_moments_are_counted_and_levels_are_between_two_events():
    assert counted([0.0, 59.0, 61.0, 500.0], 120.0, 2.0, 60.0) == [4.0, 2.0, 0.0]
    day = AccountDay(videos=2, created=[30.0, 70.0], ended=[130.0, 130.0])
    assert levels([day], "created", "ended", 240.0, 10.0) == [10.0, 20.0, 0.0, 0.0]


@pytest.fixture(scope="module")
def day() -> AccountDay:
    return simulate_account(SMALL, 0)


def test_a_small_day_makes_each_video_once_and_is_the_same_again(day):
    assert len(day.created) == len(day.noticed) == SMALL.videos
    assert day.count("create") == SMALL.videos
    assert all(noticed >= arrived for arrived, noticed in zip(day.arrived, day.noticed, strict=True))
    assert max(levels([day], "created", "ended", SMALL.length, 1.0)) <= SMALL.slots
    assert simulate_account(SMALL, 0).requests == day.requests
    assert OLD > 1000  # else a list would prove that no task exists, as it cannot in an account with a past
    assert day.count("absent") > 0


def test_multiplying_keeps_what_a_video_needs(day):
    one = summarize(SMALL, [day])
    ten = summarize(DayLoad(300, "mapped", slots=5, seconds=20, length=1200.0, manifests=2, all_accounts=10), [day])
    assert ten["multiplied_by"] == 10
    assert ten["requests_per_video"] == one["requests_per_video"] == round(len(day.requests) / 30, 2)
    assert ten["by_kind"] == one["by_kind"]
    assert set(one["by_kind"]) == set(KINDS)
    assert ten["requests_a_second"]["mean"] == pytest.approx(10 * len(day.requests) / 1200, abs=0.01)
