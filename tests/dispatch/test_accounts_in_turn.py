"""Several accounts that share a load: how their connections are given, and which account each row belongs to."""

from __future__ import annotations

from collections import Counter

import pytest

from airflow_provider_kling.arguments import conn_ids
from airflow_provider_kling.dispatch import turn
from airflow_provider_kling.errors import KlingInputError


@pytest.mark.parametrize(
    ("given", "ids"), [("a", ["a"]), ("a, b", ["a", "b"]), (["a", "b", "a"], ["a", "b"]), (("b", "a"), ["b", "a"])]
)
def test_accounts_are_a_text_or_a_list(given, ids):
    assert conn_ids(given) == ids


@pytest.mark.parametrize("given", ["", ",", "a,,b", [], [None], ["a", ""]])
def test_a_value_that_names_no_account_is_an_error(given):
    with pytest.raises(KlingInputError, match="wanted is the id of a connection"):
        conn_ids(given)


def test_each_account_gets_its_share_evenly_mixed():
    order = [turn(place, [3, 1]) for place in range(8)]
    assert Counter(order) == {0: 6, 1: 2}
    assert Counter(order[:4]) == Counter(order[4:]) == {0: 3, 1: 1}
    assert Counter(turn(place, [100_000, 300_000]) for place in range(1000)) == {0: 250, 1: 750}
    assert {turn(f"airflow-{number}", [1, 1]) for number in range(50)} == {0, 1}
