"""All that Kling has charged: both endpoints, all pages, filters, and servers whose lists do not end."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pendulum
import pytest
from hook_calls import REQUEST, Caller
from hostile import Exchange, HostileKling, body, envelope, reset, status, trickle
from hypothesis import given, strategies as st

from airflow_provider_kling import errors
from airflow_provider_kling.api import Charge, ChargePage, ChargeQuery, Response, charges_call
from airflow_provider_kling.client import flows
from airflow_provider_kling.client.flows.charges import MOST_EMPTY_PAGES, MOST_PAGES

DAY = timedelta(days=1)
START, END = pendulum.now("UTC").subtract(days=1), pendulum.now("UTC").add(days=1)


# --- Against the emulator


@pytest.mark.kling_emulator(slots=50, duration=0, price=("pet_lion_pro=2.4",), balance=10.0, cash=100.0, unit_price=0.1)
def test_every_charge_of_both_endpoints_to_the_last_unit(hook, kling):
    ids = [hook.create_task(REQUEST).kling_task_id for _ in range(7)]
    others = kling.charge("0.3", times=3)
    charges = hook.get_charges(START, END, page_size=2)
    assert {charge.kling_task_id for charge in charges} == {*ids, *others}
    units = sum(charge.units for charge in charges if charge.paid_with == "units")
    money = sum(charge.amount for charge in charges if charge.paid_with == "money")
    assert (units, units + money * 10) == (10, Decimal(kling.state["spent"]))
    assert [charge.charged_at for charge in charges] == sorted(charge.charged_at for charge in charges)
    assert hook.get_charges(START, END, "units") + hook.get_charges(START, END, "money") != []
    assert len(hook.get_charges(START, END, "units")) + len(hook.get_charges(START, END, "money")) == len(charges)
    dollars = next(charge for charge in charges if charge.paid_with == "money")
    assert (dollars.currency, dollars.cash_type, dollars.units, dollars.package_id) == ("USD", "balance", None, None)
    assert all(isinstance(charge.amount, Decimal) and isinstance(charge.charged_at, pendulum.DateTime) for charge in charges)
    with pytest.raises(AttributeError):
        dollars.amount = 0


@pytest.mark.kling_emulator(slots=50, duration=0, pack=("A=5", "B=100"), list_order="oldest")
def test_filters_reach_the_server(hook, kling):
    for _ in range(3):
        hook.create_task(REQUEST)
    kling.charge(1)

    def count(**filters):
        return len(hook.get_charges(START, END, **filters))

    assert count() == 4
    assert count(api_key_name="API key 1") == 3
    assert count(api_key_name=["API key 1", "another program"]) == 4
    assert count(package_name="A") == 2
    assert count(package_id=["emulator-pack-2"], product_type="video") == 2
    assert count(product_type="image") == 0
    # Money knows only the name of the key, so the others mean units alone.
    kinds = [(entry["path"].rpartition("/")[2]) for entry in kling.requests("billing")]
    assert kinds.count("balance") == 3


@pytest.mark.kling_emulator(duration=0)
def test_the_span_is_that_of_the_creation_and_nothing_is_a_short_answer(hook, kling):
    hook.create_task(REQUEST)
    assert hook.get_charges(START - DAY, START) == []
    assert hook.get_charges(datetime.now(timezone.utc) - DAY, datetime.now(timezone.utc) + DAY) != []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((END, START), "not before its end"),
        ((datetime(2026, 1, 1), END), "a time with a time zone"),  # noqa: DTZ001
        (("2026-01-01", END), "a time with a time zone"),
        ((START, END, "cash"), "paid_with is 'cash'"),
        ((START, END, {"package_name": "a", "package_id": "b"}), "the API takes one of them"),
        ((START, END, {"paid_with": "money", "package_id": "b"}), "cannot be filtered by package_id"),
        ((START, END, {"page_size": 501}), "1 to 500"),
        ((START, END, {"package_id": [7]}), "a list of texts"),
        ((START, END, {"timeout": 0}), "timeout is 0"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_sent(hook, kling, arguments, named):
    keywords = arguments[-1] if isinstance(arguments[-1], dict) else {}
    with pytest.raises(errors.KlingInputError, match=named):
        hook.get_charges(*[part for part in arguments if part is not keywords], **keywords)
    assert kling.requests("billing") == []


def test_a_query_is_repeated_over_faults_that_may_pass_though_it_is_a_post(hook, kling):
    kling.charge(1)
    for fault in ("drop", 502, 1302, 5001):
        kling.fault(fault, on="billing", match="units")
    assert len(hook.get_charges(START, END, "units")) == 1


def test_an_account_error_is_raised_as_ours(hook, kling):
    kling.fault(1103, on="billing")
    with pytest.raises(errors.KlingAccountError):
        hook.get_charges(START, END)


# --- A server that is not the emulator


@pytest.fixture(params=["sync", "async"])
def caller(request):
    return Caller(request.param)


@pytest.fixture
def server(monkeypatch):
    with HostileKling() as kling:
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection(timeout=3, allow_private_links=True))
        yield kling


def line(number: int, **more: Any) -> dict[str, Any]:
    amounts = {"deduction_amount": 1, "unit_before_deduction": 100 - number, "unit_after_deduction": 99 - number}
    return {"task_id": str(number), "deduction_time": str(10**12 + number), **amounts, **more}


def page(*lines: dict[str, Any], cursor: Any = None, more: Any = False, **extra: Any) -> dict[str, Any]:
    return {"result": {"detail": list(lines), "count": len(lines)}, "next_cursor": cursor, "has_more": more, **extra}


def serve(server: HostileKling, answer) -> list[dict[str, Any]]:
    """Let the server answer each billing query with a function of its number; returns the bodies of the queries."""
    asked: list[dict[str, Any]] = []

    def write(exchange: Exchange) -> None:
        asked.append(json.loads(exchange.body))
        exchange.respond(200, envelope(answer(len(asked))))

    server.answer("other", write)
    return asked


def test_a_cursor_overrides_everything_else(caller, server):
    asked = serve(server, lambda number: page(line(number), cursor=f"c{number}", more=number < 3))
    assert [charge.kling_task_id for charge in caller.get_charges(START, END, "units")] == ["1", "2", "3"]
    assert asked[1:] == [{"cursor": "c1"}, {"cursor": "c2"}]
    assert asked[0].keys() == {"start_time", "end_time", "limit"}


@pytest.mark.parametrize(
    ("answer", "why", "calls"),
    [
        (lambda number: page(line(number), cursor="same", more=True), "a cursor a second time", 2),
        (lambda number: page(cursor=f"c{number}", more=True), "20 pages in a row", MOST_EMPTY_PAGES),
        (lambda number: page(line(1), cursor=f"c{number}", more=True), "20 pages in a row", MOST_EMPTY_PAGES + 1),
        (lambda number: page(line(number), cursor="", more=True), "has no cursor for them", 1),
        (lambda number: page(line(number), cursor=7, more=True), "next_cursor is 7", 1),
        (lambda number: page(line(number), more="yes"), "has_more is 'yes'", 1),
        (lambda number: page(*map(line, range(501))), "501 entries", 1),
        (lambda number: {"result": {"detail": {}}}, "not a list", 1),
        (lambda number: {"result": None}, "the result of a page", 1),
        (lambda number: [], "a page of charges", 1),
        (lambda number: page({"task_id": "1"}), "has no deduction_amount", 1),
        (lambda number: page(line(1, deduction_amount="NaN")), "deduction_amount is 'NaN'", 1),
        (lambda number: page(line(1, deduction_amount=True)), "deduction_amount is True", 1),
        (lambda number: page(line(1, unit_before_deduction=[1])), "unit_before_deduction", 1),
        (lambda number: page("charge"), "a charge", 1),
    ],
)
def test_a_list_that_is_not_whole_is_an_error_and_ends(server, answer, why, calls):
    asked = serve(server, answer)
    with pytest.raises(errors.KlingAnswerError, match=why):
        Caller("sync").get_charges(START, END, "units", timeout=30)
    # An unknown shape may be a gateway's, so it is asked for again, five times at most.
    assert len(asked) in (calls, 5 * calls)


def test_a_list_that_grows_while_it_is_read_counts_each_charge_once(caller, server):
    """The newest first: what was on the first page is on the second one, too."""
    pages = {1: [line(5), line(4)], 2: [line(4), line(3)], 3: [line(3), line(2)], 4: [line(2), line(1)]}
    serve(server, lambda number: page(*pages[number], cursor=f"c{number}", more=number < 4))
    assert [charge.kling_task_id for charge in caller.get_charges(START, END, "units")] == ["1", "2", "3", "4", "5"]


def test_equal_charges_of_which_nothing_is_known_stay_two(caller, server):
    same = {"task_id": "1", "deduction_amount": "2"}
    serve(server, lambda number: page(same, same, cursor="c", more=number < 2))
    assert len(caller.get_charges(START, END, "money")) == 4


def test_odd_but_readable_lines_are_read(caller, server):
    odd = {"task_id": None, "deduction_amount": "0.10", "deduction_time": "", "duration": 5.04, "new_key": {"a": 1}}
    refund = line(2, deduction_amount=-1.25, api_key_name="a\nb", voice_control=False)
    serve(server, lambda number: {"result": {"detail": [odd, refund]}, "next_cursor": "left over", "has_more": False})
    first, second = caller.get_charges(START, END, "units")
    assert (first.amount, first.kling_task_id, first.charged_at, first.duration) == (Decimal("0.10"), None, None, "5.04")
    assert (second.amount, second.api_key_name) == (Decimal("-1.25"), "a b")
    shown = json.loads(json.dumps(second.to_json()))
    assert (shown["amount"], shown["charged_at"]) == ("-1.25", "2001-09-09T01:46:40.002000Z")


def test_a_fault_in_the_middle_gives_no_half_of_a_list(caller, server):
    server.answer("other", body(envelope(page(line(1), cursor="c1", more=True))), times=1)
    server.answer("other", reset)
    with pytest.raises(errors.KlingConnectionError):
        caller.get_charges(START, END, "units", timeout=5)


def test_an_error_code_in_the_middle_is_raised(caller, server):
    server.answer("other", body(envelope(page(line(1), cursor="c1", more=True))), times=1)
    server.answer("other", status(400, 1201, "cursor is invalid"))
    with pytest.raises(errors.KlingRequestError, match="cursor is invalid"):
        caller.get_charges(START, END, "units")


def test_the_timeout_ends_a_page_that_trickles(caller, server):
    server.answer("other", trickle(0.2))
    with pytest.raises(errors.KlingError):
        caller.get_charges(START, END, "units", timeout=0.5)


# --- The flow alone


QUERY = ChargeQuery(paid_with="units", start=START, end=END, filters={})
CHARGES = [Charge.from_json(line(number), "units") for number in range(8)]
PAGES = st.builds(
    ChargePage,
    charges=st.lists(st.sampled_from(CHARGES), max_size=5).map(tuple),
    next_cursor=st.one_of(st.none(), st.integers(0, 6).map(str), st.text(max_size=3)),
)


def drive(pages) -> tuple[list[ChargePage], list[Charge] | errors.KlingAnswerError | None]:
    """Give these pages to a flow, until it ends. Returns those it has taken, and what it returned or raised; None if nothing."""
    flow = flows.charges(QUERY)
    next(flow)
    for number, given_page in enumerate(pages, 1):
        try:
            flow.send(given_page)
        except StopIteration as end:
            return pages[:number], end.value
        except errors.KlingAnswerError as error:
            return pages[:number], error
    return pages, None


@given(st.lists(PAGES, min_size=1, max_size=60))
def test_whatever_pages_come_the_flow_ends_with_all_or_with_an_error(pages):
    taken, end = drive(pages)
    last = taken[-1].next_cursor
    if isinstance(end, list):
        assert last is None
        assert set(end) == {charge for each in taken for charge in each.charges}
        assert len(end) == len(set(end)) or any(len(set(each.charges)) < len(each.charges) for each in taken)
    elif end is not None:
        assert last is not None
        assert not end.retryable
    else:  # it asks for more, so each cursor was a new one
        assert None not in {each.next_cursor for each in taken}
        assert len({each.next_cursor for each in taken}) == len(taken)


def test_the_number_of_pages_is_bounded():
    amounts = [{"unit_before_deduction": number + 1, "unit_after_deduction": number} for number in range(MOST_PAGES + 1)]
    charges = [Charge.from_json(line(1, **amount), "units") for amount in amounts]
    pages = [ChargePage(charges=(charge,), next_cursor=str(number)) for number, charge in enumerate(charges)]
    taken, end = drive(pages)
    assert len(taken) == MOST_PAGES
    assert "10,000 pages" in str(end)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(JSON)
def test_no_answer_raises_anything_but_our_errors(data):
    for document in (data, page(data) if not isinstance(data, dict) else page({**line(1), **data})):
        response = Response(status=200, body=json.dumps({"code": 0, "data": document}).encode())
        with contextlib.suppress(errors.KlingError):
            charges_call(QUERY).read(response)
