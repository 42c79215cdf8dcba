"""The slots of an account as far as they are known, and the queue for them: no clock, no network."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from airflow_provider_kling.dispatch.slots import (
    LONGEST_EMPTY_PROBE,
    LONGEST_HOLD,
    PROBE_ANYWAY,
    SLOW_CREATE,
    SlotRequest,
    Slots,
)


def served(slots: Slots, quota: int, *, now: float = 0.0, running: set[str] | None = None) -> list[SlotRequest]:
    """Serve all grants as an account with so many slots does; those that were accepted."""
    accepted = []
    while request := slots.grant(now):
        if len(slots.ours) + slots.others < quota:
            slots.accept(request, f"t{slots.accepted}")
            accepted.append(request)
        else:
            slots.refuse(request, now=now)
            slots.join(request)
    return accepted


def queue(slots: Slots, count: int, group: str = "g") -> list[SlotRequest]:
    requests = [SlotRequest(group) for _ in range(count)]
    for request in requests:
        slots.join(request)
    return requests


def test_without_a_refusal_there_is_no_limit():
    slots = Slots()
    queue(slots, 100)
    assert len(served(slots, 1000)) == 100
    assert slots.limit is None


def test_one_refusal_teaches_the_limit_and_the_refused_one_stands_first_again():
    slots = Slots()
    requests = queue(slots, 10)
    accepted = served(slots, 4)
    assert accepted == requests[:4]
    assert slots.limit == 4
    slots.free_up("t0")
    assert served(slots, 4) == [requests[4]]


def test_slots_are_short_where_somebody_waits_for_one_to_become_free():
    slots = Slots()
    queue(slots, 3)
    slots.grant(0.0)
    assert not slots.short  # the others wait for the answer to that create, and for nothing else
    quota, own = Slots(), Slots(max_concurrency=2)
    for limited in (quota, own):
        queue(limited, 5)
        served(limited, 2)
        assert limited.short
    empty = Slots(max_concurrency=2)
    queue(empty, 2)
    served(empty, 2)
    assert not empty.short


def test_an_account_without_a_quota_is_filled_faster_and_faster():
    slots = Slots()
    queue(slots, 1000)
    rounds = 0
    while slots.waiting:
        rounds += 1
        at_once = []
        while request := slots.grant(0.0):
            at_once.append(request)
        for request in at_once:
            slots.accept(request, f"t{slots.accepted}")
    assert rounds < 100


def with_others(ours: int, others: int) -> Slots:
    """A process that holds so many slots of a full account, and wants more."""
    slots = Slots()
    queue(slots, ours + 50)
    served(slots, ours)
    slots.saw_others(others, now=0.0)
    return slots


def test_who_holds_more_than_all_others_leaves_a_slot_free_for_a_while():
    slots = with_others(7, 1)
    slots.fair_share.typical = 20.0
    slots.free_up("t0")
    assert slots.grant(100.0) is None
    assert slots.grant(101.9) is None
    assert slots.opens_at(101.9) == 102.0
    assert slots.grant(102.0) is not None


def test_a_slot_that_was_taken_is_not_asked_back_and_the_next_one_is_left_soon():
    slots = with_others(7, 1)
    slots.free_up("t0")
    assert slots.grant(100.0) is None
    slots.saw_others(2, now=0.0)
    assert slots.grant(100.2) is None  # all are taken
    slots.free_up("t1")
    slots.accept(slots.grant(101.0), "t50")
    slots.free_up("t2")
    slots.accept(slots.grant(103.9), "t51")
    slots.free_up("t3")
    assert slots.grant(104.0) is None


def test_while_nobody_takes_them_slots_are_left_less_and_less_often():
    slots = with_others(7, 1)
    left, now = [], 0.0
    for number in range(400):
        slots.free_up(f"t{number}")
        while (request := slots.grant(now)) is None:
            left.append(now)
            now = max(now, slots.opens_at(now))
        slots.accept(request, f"t{7 + number}")
        slots.join(SlotRequest("g"))
        now += 2.0
    pauses = [later - earlier for earlier, later in pairwise(left)]
    assert len(left) < 12
    assert pauses == sorted(pauses)


@pytest.mark.parametrize(("ours", "others"), [(4, 4), (5, 4), (3, 5), (8, 0)])
def test_who_holds_no_more_than_the_others_leaves_them_nothing(ours, others):
    slots = with_others(ours, others)
    slots.free_up("t0")
    assert slots.grant(100.0) is not None


def test_what_others_hold_is_left_to_them_and_taken_up_when_they_end():
    slots = Slots()
    queue(slots, 10)
    served(slots, 5)
    slots.free_up("t0")
    slots.saw_others(1, now=0.0)
    assert slots.grant(1.0) is None
    slots.saw_others(0, now=0.0)
    assert slots.grant(1.0) is not None


def test_the_users_own_limit_counts_what_others_hold_and_is_never_probed():
    slots = Slots(max_concurrency=2)
    (request,) = queue(slots, 1)
    slots.saw_others(2, now=0.0)
    assert slots.short
    assert slots.grant(10 * PROBE_ANYWAY) is None
    slots.saw_others(1, now=0.0)
    assert slots.grant(0.0) is request


def test_a_list_that_cannot_be_read_tells_nothing_of_others():
    slots, own = with_others(4, 4), Slots(max_concurrency=2)
    own.saw_others(2, now=0.0)
    for each in (slots, own):
        each.forget_others()
    assert (slots.others, own.others) == (0, 2)


def test_with_no_task_of_ours_a_slot_is_asked_for_again_and_again_more_and_more_rarely():
    slots = Slots()
    (request,) = queue(slots, 1)
    now, times = 0.0, []
    for _ in range(12):
        assert slots.grant(now) is request
        slots.refuse(request, now=now)
        slots.join(request)
        assert slots.grant(now) is None
        times.append(slots.opens_at(now) - now)
        now = slots.opens_at(now)
    assert times[0] == 1.0
    assert times == sorted(times)
    assert times[-1] == LONGEST_EMPTY_PROBE


def test_kling_may_ask_for_fewer_requests():
    slots = Slots()
    queue(slots, 2)
    slots.hold_off(slots.grant(0.0), now=0.0, seconds=5.0)
    assert slots.grant(4.9) is None
    assert slots.opens_at(4.9) == 5.0
    assert slots.grant(5.0) is not None


def test_a_server_cannot_hold_creates_off_for_ever():
    slots = Slots()
    queue(slots, 1)
    slots.hold_off(SlotRequest("g", granted=True), now=0.0, seconds=86_400.0)
    assert slots.opens_at(0.0) == LONGEST_HOLD
    assert slots.grant(LONGEST_HOLD) is not None


def test_a_hold_stays_when_the_request_that_met_it_leaves():
    slots = Slots()
    first, second = queue(slots, 2)
    assert slots.grant(0.0) is first
    slots.hold_off(first, now=0.0, seconds=3.0)
    slots.leave(first)
    assert slots.opens_at(0.5) == 3.0
    assert slots.grant(3.0) is second


def test_a_create_that_is_not_answered_does_not_keep_the_others_waiting():
    slots = Slots()
    first, second, third = queue(slots, 3)
    assert slots.grant(0.0) is first
    assert slots.grant(1.0) is None
    assert slots.opens_at(1.0) == SLOW_CREATE
    assert slots.grant(SLOW_CREATE) is second
    slots.accept(second, "t2")
    assert slots.grant(SLOW_CREATE) is third


def test_who_leaves_gives_back_a_place_or_a_slot():
    slots = Slots(max_concurrency=1)
    first, second, third = queue(slots, 3)
    assert slots.grant(0.0) is first
    slots.leave(second)
    assert slots.grant(0.0) is None
    slots.leave(first)
    assert slots.grant(0.0) is third
    slots.leave(third)
    assert (slots.waiting, slots.creating) == (0, 0)


def test_groups_take_turns():
    slots = Slots()
    for group, count in (("a", 3), ("b", 1), ("c", 2)):
        queue(slots, count, group)
    assert [request.group for request in served(slots, 100)] == ["a", "b", "c", "a", "c", "a"]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_the_books_are_right_and_everybody_is_served(seed):
    chance = random.Random(seed)
    slots, now, quota, hidden = Slots(), 0.0, 5, 0
    left = queue(slots, 60, "a") + queue(slots, 30, "b")
    refused = 0
    while left:
        now += 1.0
        hidden = chance.choice((hidden, hidden, hidden, 0, 2))  # what another product takes, which no list shows
        for task in list(slots.ours):
            if chance.random() < 0.1:
                slots.free_up(task)
        while request := slots.grant(now):
            if len(slots.ours) + hidden < quota:
                slots.accept(request, f"t{slots.accepted}")
                left.remove(request)
            else:
                refused += 1
                slots.refuse(request, now=now)
                slots.join(request)
        assert slots.creating == 0
        assert len(slots.ours) + hidden <= quota + 2
        assert slots.waiting == len(left)
        assert now < 5000
    assert refused <= 45
