"""When a free slot is left to other programs."""

from __future__ import annotations

from itertools import pairwise

from airflow_provider_kling.dispatch.fair_share import LONGEST_PAUSE, FairShare


def offers(share: FairShare, times: list[float], *, ours: int = 7, others: int = 1) -> list[int]:
    """How many slots are reserved at each time, while one is free."""
    reserved = []
    for now in times:
        share.consider(now, ours=ours, others=others)
        reserved.append(share.reserved(now))
    return reserved


def test_a_query_starts_nothing():
    share = FairShare()
    assert share.reserved(100.0) == 0
    assert offers(share, [100.0]) == [1]
    assert share.reserved(100.9) == 1
    assert share.reserved(101.0) == 0


def test_a_slot_is_left_for_a_tenth_of_what_a_task_takes():
    share = FairShare()
    share.typical = 100.0
    assert offers(share, [0.0, 9.9, 10.0, 59.9, 60.0]) == [1, 1, 0, 0, 1]


def test_a_slot_is_left_only_by_the_process_that_holds_more_than_all_others():
    assert offers(FairShare(), [0.0], others=0) == [0]
    assert offers(FairShare(), [0.0], ours=5, others=4) == [0]
    assert offers(FairShare(), [0.0], ours=6, others=4) == [1]


def test_the_pauses_grow_while_nobody_uses_the_slot_and_start_anew_once_somebody_does():
    share, starts, now = FairShare(), [], 0.0
    while now < 4000:
        if offers(share, [now]) == [1]:
            starts.append(now)
            now = share.until
        now += 1.0
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    assert pauses[0] == 4
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE + 1
    share.saw_others(2)
    assert offers(share, [share.until, starts[-1] + 3.9, starts[-1] + 4.0]) == [0, 0, 1]
