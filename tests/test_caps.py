"""The caps of a run, as values: what they permit, of which rows, and how often. `caps` is pure."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from airflow_provider_kling.caps import Allowance, RunCap
from airflow_provider_kling.errors import KlingCappedError, KlingInputError


def plain(rows: int, cost: str | None = None) -> list[tuple[int, Decimal | None]]:
    return [(number, None if cost is None else Decimal(cost)) for number in range(1, rows + 1)]


def permitted(allowance: Allowance, rows: int) -> list[int]:
    return [place for place in range(1, rows + 1) if allowance.refusal(place) is None]


def test_the_first_rows_are_permitted():
    allowance = RunCap.of(3, None).allowance(plain(5))
    assert permitted(allowance, 5) == [1, 2, 3]
    error = allowance.refusal(4)
    assert isinstance(error, KlingCappedError)
    assert "max_videos=3 permits the first 3 rows" in str(error)
    assert "nothing was paid" in str(error)


def test_units_are_counted_with_what_each_row_costs():
    costs = [(1, Decimal("2.5")), (4, Decimal(4)), (9, Decimal("3.5")), (12, Decimal("0.1"))]
    allowance = RunCap.of(None, "10").allowance(costs)
    assert [place for place, _ in costs if allowance.refusal(place) is None] == [1, 4, 9]
    assert "it would cost 10.1" in str(allowance.refusal(12))


def test_a_price_that_nobody_knows_counts_for_max_videos_alone():
    assert permitted(RunCap.of(2, 100).allowance(plain(4)), 4) == [1, 2]
    with pytest.raises(KlingInputError, match="no price of any scene is known"):
        RunCap.of(None, 100).allowance(plain(4))


@pytest.mark.parametrize(("videos", "units"), [(None, None), ("", "None"), ("null", " ")])
def test_nothing_is_no_cap(videos, units):
    assert not RunCap.of(videos, units)


def test_zero_is_a_cap():
    cap = RunCap.of(0, None)
    assert cap
    assert permitted(cap.allowance(plain(3)), 3) == []


@pytest.mark.parametrize("value", [-1, "many", True, float("nan"), float("inf"), "1e99", [3]])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(KlingInputError, match="max_videos is"):
        RunCap.of(value, None)
    with pytest.raises(KlingInputError, match="max_units is"):
        RunCap.of(None, value)


def test_a_part_of_a_video_is_refused():
    with pytest.raises(KlingInputError, match="whole number"):
        RunCap.of(2.5, None)


@given(
    costs=st.lists(st.decimals(0, 9, places=1), max_size=12),
    videos=st.none() | st.integers(0, 30),
    units=st.none() | st.decimals(0, 80, places=1),
    events=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 3)), max_size=60),
)
def test_whatever_is_asked_for_in_any_order_costs_no_more_than_the_cap(costs, videos, units, events):
    """Rows are asked for in any order, each for requests that change; a request that was paid for is adopted."""
    cap = RunCap.of(videos, units)
    allowance = cap.allowance(enumerate(costs)) if cap else None
    paid: dict[int, set[int]] = {}
    for row, request in events:
        had = paid.setdefault(row, set())
        if row < len(costs) and request not in had and (allowance is None or allowance.refusal(row, paid_before=len(had)) is None):
            had.add(request)
    assert videos is None or sum(map(len, paid.values())) <= videos
    assert units is None or sum(costs[row] * len(had) for row, had in paid.items() if had) <= units


def test_an_allowance_travels_as_json():
    allowance = RunCap.of(3, "7.5").allowance(plain(5, "2"))
    assert Allowance.from_json(allowance.to_json()) == allowance
