"""Items with times: the earliest comes first, and what is outdated does not pile up."""

from __future__ import annotations

import random

from airflow_provider_kling.dispatch.agenda import SLACK, Agenda


def test_items_come_in_the_order_of_their_last_times():
    agenda = Agenda()
    assert agenda.next_at == float("inf")
    for item, at in (("a", 3.0), ("b", 1.0), ("c", 2.0), ("b", 4.0)):
        agenda.put(item, at)
    agenda.discard("c")
    agenda.discard("unknown")
    assert agenda.next_at == 3
    assert list(agenda.pop_due(2.9)) == []
    assert list(agenda.pop_due(3.0)) == ["a"]
    assert list(agenda.pop_due(9.0)) == ["b"]
    assert len(agenda) == 0


def test_an_item_may_be_put_off_when_it_comes():
    agenda, seen = Agenda(), []
    agenda.put("a", 1.0)
    for item in agenda.pop_due(3.0):
        seen.append(item)
        if len(seen) < 3:
            agenda.put(item, len(seen) + 1.0)
    assert seen == ["a", "a", "a"]


def test_items_that_go_before_their_time_need_no_memory():
    agenda, chance = Agenda(), random.Random(1)
    for number in range(10_000):
        agenda.put(number, chance.random())
        if number >= 10:
            agenda.discard(number - 10)
    assert len(agenda) == 10
    assert len(agenda._heap) <= 2 * 10 + SLACK
