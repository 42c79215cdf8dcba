"""When a create finds out whether the account has more slots than its limit: no clock, no network."""

from __future__ import annotations

import pytest
from test_slots import queue, served

from airflow_provider_kling.dispatch.slots import PROBE_ACCEPTED, PROBE_AFTER, PROBE_ANYWAY, Slots


def limited(limit: int, *, accepted: int = 0, others: int = 0) -> Slots:
    """A process that knows its limit, has all slots, and has had so many creates accepted since."""
    slots = Slots()
    queue(slots, limit + accepted + 50)
    served(slots, limit)
    slots.saw_others(others, now=0.0)
    for number in range(accepted):
        slots.free_up(f"t{number}")
        slots.accept(slots.grant(1.0), f"t{limit + number}")
    return slots


def test_more_slots_are_found_out_after_a_while_without_a_storm():
    slots = limited(2, accepted=PROBE_ACCEPTED)
    assert slots.grant(PROBE_AFTER - 1) is None
    assert slots.opens_at(PROBE_AFTER - 1) == PROBE_AFTER
    found = []
    for _ in range(5):
        found.append(len(served(slots, 8, now=PROBE_AFTER)))
        slots.saw_others(0, now=PROBE_AFTER)
    assert found == [1, 2, 3, 0, 0]  # twice as many each time, until one is refused
    assert slots.limit == 8


def test_a_probe_that_finds_the_slot_of_a_task_that_has_just_ended_proves_nothing():
    slots = limited(2, accepted=PROBE_ACCEPTED)
    slots.accept(slots.grant(PROBE_AFTER), "new")
    assert slots.surprised
    slots.free_up(f"t{PROBE_ACCEPTED}")  # the sweep shows it
    slots.saw_others(0, now=PROBE_AFTER)
    assert (slots.limit, slots.surprised) == (2, False)
    assert slots.grant(PROBE_AFTER + 1) is None


@pytest.mark.parametrize(
    ("accepted", "others", "probe_at"), [(0, 0, PROBE_ANYWAY), (PROBE_ACCEPTED, 0, PROBE_AFTER), (0, 1, PROBE_AFTER)]
)
def test_probes_are_rare_unless_others_use_the_account_or_many_creates_pay_for_them(accepted, others, probe_at):
    slots = limited(2, accepted=accepted, others=others)
    assert slots.grant(probe_at - 1) is None
    assert slots.opens_at(probe_at - 1) == probe_at
    assert slots.grant(probe_at) is not None
