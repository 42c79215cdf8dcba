"""What a charge is, and what was not charged: the pure core."""

from __future__ import annotations

import itertools
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pendulum
import pytest
from hypothesis import given, strategies as st

from airflow_provider_kling.api import Charge
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.reconciling import COLUMNS, Ledger, Sums, read_line, span_of, task_of_line
from airflow_provider_kling.reconciling.sums import GROUPS

NOON = pendulum.datetime(2026, 11, 22, 12)
NEXT = pendulum.datetime(2026, 11, 24)


def ledger(**options: Any) -> Ledger:
    return Ledger(**{"span": span_of("2026-11-22"), "as_of": NEXT, **options})


def charge(task: str | None, amount: Any = "2.5", *, at: Any = NOON, number: int = 0, **more: Any) -> Charge:
    """A charge; those with other numbers are others."""
    before = Decimal(1000 - number)
    facts = {"paid_with": "units", "api_key_name": "k", "before": before, "after": before - Decimal(amount), **more}
    return Charge(amount=Decimal(amount), kling_task_id=task, charged_at=at, **facts)


def line(task: str, units: str | None = "2.5", *, at: pendulum.DateTime = NOON, row: str = "r", **more: Any) -> dict[str, Any]:
    time = at.to_iso8601_string()
    facts = {"id": row, "kling_task_id": task, "units": units, "created_at": time, "updated_at": time, "status": "succeed"}
    return {**facts, "effect_scene": "squish", "external_task_id": f"airflow-{task}", **more}


def reconciled(lines: list[dict[str, Any]], charges: list[Charge], **options: Any) -> list[dict[str, Any]]:
    one = ledger(**options)
    for known in lines:
        task = task_of_line(known, dag_id="d", run_id="scheduled__1")
        assert task is not None
        one.know(task)
    parts = [part for each in charges if (part := one.count(each, "kling_default")) is not None]
    found = list(one.lines(parts))
    assert all(tuple(each) == COLUMNS for each in found)
    assert [read_line(each) for each in found] == found
    return found


def states(*arguments: Any, **options: Any) -> list[str]:
    return [each["state"] for each in reconciled(*arguments, **options)]


def test_a_charge_has_the_dag_run_row_scene_and_external_id_of_its_task():
    (found,) = reconciled([line("7")], [charge("7", "2.50")])
    names = ("day", "state", "dag_id", "run_id", "row_id", "effect_scene", "external_task_id", "amount", "units", "task_charges")
    expected = ("2026-11-22", "matched", "d", "scheduled__1", "r", "squish", "airflow-7", "2.5", "2.5", 1)
    assert tuple(found[name] for name in names) == expected


@pytest.mark.parametrize(
    ("results", "charges", "expected"),
    [
        ([line("1")], [charge("2")], ["unknown", "not_charged"]),
        ([line("1")], [charge(None)], ["unknown", "not_charged"]),
        ([line("1")], [charge("1", "2"), charge("1", "0.5", number=1)], ["matched", "matched"]),  # a pack has ended in the middle
        ([line("1")], [charge("1"), charge("1", number=3)], ["units_differ", "units_differ"]),  # charged twice
        ([line("1")], [charge("1", "2")], ["units_differ"]),
        ([line("1", "0")], [charge("1", "2")], ["units_differ"]),
        ([line("1")], [charge("1"), charge("1", "-2.5", number=3)], ["refunded", "refunded"]),
        ([line("1", "1")], [charge("1"), charge("1", "-1.5", number=3)], ["matched", "matched"]),
        ([line("1", None)], [charge("1")], ["units_unsaid"]),
        ([line("1")], [charge("1", "0.3", paid_with="money", currency="USD")], ["paid_in_money"]),
        ([line("1")], [charge("1", "2"), charge("1", "0.1", paid_with="money", currency="USD")], ["paid_in_money"] * 2),
        ([line("1", "0"), line("2", None)], [], []),
        ([line("1", at=NOON.subtract(days=1))], [], []),  # another day's
        ([line("1", created_at=None)], [], []),  # nobody knows whose day it is
        ([line("1", created_at=None)], [charge("1")], ["matched"]),
        ([line("1", at=NOON.subtract(days=1))], [charge("1")], ["matched"]),
    ],
)
def test_what_a_charge_is(results, charges, expected):
    assert states(results, charges) == expected


def test_so_shortly_after_its_end_it_is_too_early_to_say():
    late = {"as_of": NOON.add(hours=12), "lateness": timedelta(hours=12)}
    assert states([line("1")], [], **late) == ["not_charged"]
    late["as_of"] = NOON.add(hours=12, seconds=-1)
    assert states([line("1")], [], **late) == ["too_early"]
    assert states([line("1")], [charge("1", "1")], **late) == ["too_early"]
    assert states([line("1")], [charge("1", "3")], **late) == ["units_differ"]  # more will not become less


def test_without_results_no_charge_is_called_unknown():
    assert states([], [charge("1"), charge(None)], compared=False) == ["not_compared", "not_compared"]


def test_a_charge_that_kling_lists_twice_counts_once_and_equal_ones_of_which_nothing_is_known_twice():
    one = ledger()
    same = charge("1")
    bare = Charge(paid_with="money", amount=Decimal(1), kling_task_id="1", charged_at=None)
    parts = [one.count(each, "a") for each in (same, same, bare, bare)]
    assert [part is None for part in parts] == [False, True, False, False]
    assert one.repeated == 1
    assert one.count(same, "another account") is not None


def test_two_results_of_one_task_are_one_row_and_each_adds_what_only_it_knows():
    one = ledger()
    folder = task_of_line(line("1", None), run="2026-11-22")
    run = task_of_line({"row_id": "r9", "kling_task_id": "1", "units": "2.5"}, dag_id="d", run_id="x")
    for task in (folder, run):
        one.know(task)
    (found,) = one.lines([one.count(charge("1"), "c")])
    assert [found[name] for name in ("dag_id", "run_id", "row_id", "units", "effect_scene")] == ["d", "x", "r9", "2.5", "squish"]


def test_results_that_do_not_tell_their_dag_have_the_name_of_their_folder_as_run():
    one = ledger()
    one.know(task_of_line(line("1"), run="2026-11-22"))
    (found,) = one.lines([one.count(charge("1"), "c")])
    assert (found["dag_id"], found["run_id"]) == (None, "2026-11-22")


def test_days_are_those_of_the_time_zone():
    late = pendulum.datetime(2026, 11, 22, 20)
    (utc,) = reconciled([line("1", at=late)], [charge("1", at=late)])
    (china,) = reconciled([line("1", at=late)], [charge("1", at=late)], span=span_of("2026-11-23", timezone="Asia/Shanghai"))
    assert (utc["day"], china["day"]) == ("2026-11-22", "2026-11-23")
    assert utc["charged_at"] == china["charged_at"] == "2026-11-22T20:00:00Z"


AMOUNTS = st.decimals("-99", "99", places=3)
CHARGES = st.builds(
    charge,
    st.sampled_from(["1", "2", "3", None]),
    AMOUNTS,
    at=st.sampled_from([NOON, NOON.add(days=1), None]),
    number=st.integers(0, 900),
    paid_with=st.sampled_from(["units", "money"]),
    api_key_name=st.sampled_from(["a", "b", None]),
    currency=st.sampled_from(["USD", "CNY", None]),
)


@given(st.lists(CHARGES, max_size=30), st.lists(st.sampled_from(["1", "2", "4"]), unique=True))
def test_every_sum_has_each_charge_once_to_the_last_unit(charges, known):
    lines = reconciled([line(task) for task in known], charges)
    kept = list(dict.fromkeys(each for each in charges if each.is_one_of_a_kind))
    kept += [each for each in charges if not each.is_one_of_a_kind]
    sums = Sums()
    for each in lines:
        sums.add(each)
    units = sum((each.amount for each in kept if each.paid_with == "units"), Decimal(0))
    assert sums.total.units == units
    assert sums.total.charges == len(kept)
    for group in GROUPS:
        found = [one for _, one in sums.rows(group)]
        assert sum((one.units for one in found), Decimal(0)) == units
        assert sum(one.charges for one in found) == len(kept)
        for currency in sums.total.money:
            money = [each.amount for each in kept if each.paid_with == "money" and (each.currency or "") == currency]
            assert sum((one.money.get(currency, Decimal(0)) for one in found), Decimal(0)) == sum(money)
    uncharged = {task for task in known if task not in {each.kling_task_id for each in charges}}
    assert {each["kling_task_id"] for each in lines if each["amount"] is None} == uncharged


# --- The span


@pytest.mark.parametrize(
    ("given_span", "start", "end", "text"),
    [
        (("2026-11-01",), "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", "2026-11-01, UTC"),
        (("2026-11-01", "2026-11-30"), "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", "2026-11-01 to 2026-11-30, UTC"),
        (("2026-11-01", None, "Asia/Shanghai"), "2026-10-31T16:00:00Z", "2026-11-01T16:00:00Z", "2026-11-01, Asia/Shanghai"),
        (
            ("2026-11-01T06:00", "2026-11-01T07:30+01:00"),
            *("2026-11-01T06:00:00Z", "2026-11-01T06:30:00Z", "2026-11-01 06:00:00 to 2026-11-01 06:30:00, UTC"),
        ),
        ((NOON.date(), NOON.date()), "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-22, UTC"),
        # Clocks go forward: a day of 23 hours.
        (("2026-03-29", None, "Europe/Berlin"), "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "2026-03-29, Europe/Berlin"),
    ],
)
def test_a_date_as_end_is_the_last_day_and_a_time_is_the_end(given_span, start, end, text):
    span = span_of(*given_span)
    assert [time.in_timezone("UTC").to_iso8601_string() for time in (span.start, span.end)] == [start, end]
    assert span.text == text
    parts = list(span.days)
    assert (parts[0][0], parts[-1][1]) == (span.start, span.end)
    assert all(one[1] == other[0] for one, other in itertools.pairwise(parts))
    assert len({span.day_of(first) for first, _ in parts}) == len(parts)


@pytest.mark.parametrize(
    ("given_span", "named"),
    [
        (("2026-11",), "The start of the charges is '2026-11'; wanted is a date like 2026-11-01"),
        (("2026-13-01",), "wanted is a date"),
        (("",), "wanted is a date"),
        ((None,), "wanted is a date"),
        (("2026-11-02", "2026-11-01"), "not before its end"),
        (("2026-11-02", "yesterday"), "The end of the charges is 'yesterday'"),
        (("2026-11-02", None, "Mars"), "The time zone is 'Mars'"),
    ],
)
def test_a_wrong_span_is_one_sentence(given_span, named):
    with pytest.raises(KlingInputError, match=named):
        span_of(*given_span)
