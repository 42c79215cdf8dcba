"""The emulator's money: prices, packs that run out, both billing endpoints, and lateness."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest
from examples import examples
from hypothesis import given, settings as hypothesis_settings, strategies as st

from airflow_provider_kling.api import ReceivedChargeQuery, Refusal
from airflow_provider_kling.emulator.model import Account, Order, Settings
from airflow_provider_kling.emulator.options import parse, to_arguments

DAY = 86400


@pytest.fixture
def options():
    return {"slots": 100, "costs_interval": 0.0}


def packs(client):
    found = client.costs().json()["data"]["resource_pack_subscribe_infos"]
    return {pack["resource_pack_name"]: (pack["remaining_quantity"], pack["status"]) for pack in found}


def made_and_done(client, kling, *scenes):
    ids = [client.made(scene=scene) for scene in scenes]
    kling.finish()
    return ids


# --- Prices and packs


@pytest.mark.kling_emulator(price=("squish=4", "emoji=0.1"))
def test_a_scene_has_its_own_price(client, kling):
    ids = made_and_done(client, kling, "squish", "emoji", "pet_lion_pro")
    assert [client.task(any_id)["final_unit_deduction"] for any_id in ids] == ["4", "0.1", "2.5"]
    assert kling.state["spent"] == "6.6"


@pytest.mark.kling_emulator(pack=("small=4", "second=3:0:7200", "late=100:3600:7200"))
def test_packs_run_out_one_after_the_other_in_the_middle_of_a_run(client, kling, error):
    assert packs(client) == {"small": (4, "online"), "second": (3, "online"), "late": (100, "toBeOnline")}
    (first,) = made_and_done(client, kling, "squish")
    assert packs(client)["second"] == (0.5, "online")  # it expires first, so it pays first
    made_and_done(client, kling, "squish", "squish")
    assert packs(client) == {"small": (0, "runOut"), "second": (0, "runOut"), "late": (100, "toBeOnline")}
    assert error(client.create()) == (429, 1102, "Account balance not enough")
    kling.advance(3600)
    made_and_done(client, kling, "squish")
    assert packs(client)["late"] == (97.5, "online")
    kling.advance(3600)
    assert error(client.create())[1] == 1102
    assert [status for _, status in packs(client).values()] == ["runOut", "expired", "expired"]
    kling.buy_pack(10, name="new", expires_in=60)
    made_and_done(client, kling, "squish")
    assert packs(client)["new"] == (7.5, "online")
    # A task that one pack could not pay whole has two lines.
    lines = client.all_charges(filters=[{"key": "package_name", "values": ["second"]}])
    assert {line["task_id"] for line in lines} >= {first}
    assert sum(line["deduction_amount"] for line in client.all_charges()) == float(kling.state["spent"]) == 12.5


@pytest.mark.kling_emulator(balance=5.0, reserve_units=True)
def test_reserved_units_are_not_sold_twice(client, kling, error):
    client.made()
    client.made()
    assert error(client.create())[1] == 1102  # both still run
    kling.finish()
    assert kling.packs[0]["remaining_quantity"] == 0


@pytest.mark.kling_emulator(balance=5.0, reserve_units=True)
def test_a_failed_task_gives_its_units_back(client, kling, error):
    first = client.made()
    client.made()
    assert error(client.create())[1] == 1102
    kling.fail(first)
    client.made()
    kling.finish()
    assert kling.state["spent"] == "5.0"
    assert len(client.all_charges()) == 2


@pytest.mark.kling_emulator(balance=2.5, cash=1.0, unit_price=0.2)
def test_money_pays_when_the_packs_have_run_out(client, kling, error):
    made_and_done(client, kling, "squish")
    assert client.all_charges("balance") == []
    made_and_done(client, kling, "squish", "squish")
    first, second = sorted(client.all_charges("balance"), key=lambda line: -line["balance_before_deduction"])
    assert (first["balance_before_deduction"], first["deduction_amount"], first["balance_after_deduction"]) == (1, 0.5, 0.5)
    assert (first["currency"], first["cash_type"]) == ("USD", "balance")
    assert second["balance_after_deduction"] == 0
    assert error(client.create())[1] == 1102


@pytest.mark.kling_emulator(balance_delay=12 * 3600.0, billing_delay=600.0)
def test_the_balance_and_the_bill_are_late(client, kling):
    made_and_done(client, kling, "squish")
    assert packs(client) == {"Emulator pack": (1_000_000, "online")}
    assert client.all_charges() == []
    assert kling.packs[0]["remaining_quantity"] == 999_997.5
    assert len(kling.charges) == 1
    kling.advance(600)
    assert len(client.all_charges()) == 1
    kling.advance(12 * 3600 - 601)
    assert packs(client) == {"Emulator pack": (1_000_000, "online")}
    kling.advance(1)
    assert packs(client) == {"Emulator pack": (999_997.5, "online")}


# --- The billing endpoints


def test_a_charge_has_the_documented_keys(client, kling):
    (any_id,) = made_and_done(client, kling, "squish")
    (line,) = client.all_charges()
    assert line.pop("deduction_time") == str(int(kling.state["now"] * 1000))
    assert line == {
        "package_id": "emulator-pack-1",
        "product_type": "video",
        "task_id": any_id,
        "api_key_name": "API key 1",
        "product_function": "Video Effects",
        "model_name": "",
        "resolution": "720p",
        "duration": "5.1",
        "deduction_amount": 2.5,
        "unit_before_deduction": 1_000_000.0,
        "unit_after_deduction": 999_997.5,
    }


def test_a_list_has_pages_and_a_cursor_stays_at_its_list(client, kling):
    ids = made_and_done(client, kling, *["squish"] * 5)
    first = client.charges(limit=2).json()["data"]
    assert [line["task_id"] for line in first["result"]["detail"]] == ids[:2:-1]  # the newest first
    assert first["has_more"] is True
    made_and_done(client, kling, "squish")
    second = client.charges(cursor=first["next_cursor"], limit=1, start_time="ignored").json()["data"]
    assert [line["task_id"] for line in second["result"]["detail"]] == ids[2:0:-1]
    third = client.charges(cursor=second["next_cursor"]).json()["data"]
    assert [line["task_id"] for line in third["result"]["detail"]] == ids[:1]
    assert (third["has_more"], third["next_cursor"]) == (False, "")
    assert len(client.all_charges(limit=4)) == 6


def test_the_span_is_that_of_the_creation(client, kling):
    start = int(kling.state["now"] * 1000)
    any_id = client.made()
    kling.advance(5)
    kling.finish()
    before = client.all_charges(start_time=start, end_time=start + 1)
    assert [line["task_id"] for line in before] == [any_id]
    assert int(before[0]["deduction_time"]) == start + 5000
    assert client.all_charges(start_time=start + 1, end_time=start + DAY * 1000) == []


@pytest.mark.kling_emulator(api_key=("one", "two"), pack=("A=5", "B=100"), list_order="oldest")
def test_filters_of_one_key_are_united_and_those_of_several_must_all_fit(client, kling):
    for key in ("one", "two", "one"):
        client.session.headers["Authorization"] = f"Bearer {key}"
        made_and_done(client, kling, "squish")

    def count(**filters):
        return len(client.all_charges(filters=[{"key": key, "values": values} for key, values in filters.items()]))

    assert count(api_key_name=["API key 1"]) == 2
    assert count(api_key_name=["API key 1", "API key 2"]) == 3
    assert count(api_key_name=["API key 1"], package_name=["A"]) == 1
    assert count(api_key_name=[], product_type=["video"]) == 3
    assert count(product_type=["image"]) == 0
    assert count(package_id=["emulator-pack-2"]) == 1
    assert count(package_id=["nothing"]) == 0


@pytest.mark.parametrize(
    ("endpoint", "body", "named"),
    [
        ("package", {"start_time": None}, "start_time"),
        ("package", {"start_time": "1"}, "start_time"),
        ("package", {"start_time": 5, "end_time": 5}, "start_time must be earlier"),
        ("package", {"limit": 501}, "limit"),
        ("package", {"limit": 0}, "limit"),
        ("package", {"filters": {}}, "filters"),
        ("package", {"filters": [{"key": "task_id", "values": []}]}, "filters.key"),
        ("package", {"filters": [{"key": "package_id", "values": "x"}]}, "filters.values"),
        ("package", {"filters": [{"key": "package_id", "values": ["x"]}, {"key": "package_name", "values": ["y"]}]}, "exclusive"),
        ("balance", {"filters": [{"key": "package_id", "values": ["x"]}]}, "filters.key"),
        ("package", {"cursor": "made-up"}, "cursor"),
        ("package", {"cursor": 7}, "cursor"),
        ("package", {"cursor": "e30="}, "cursor"),
    ],
)
def test_a_wrong_query_is_refused(client, error, endpoint, body, named):
    status, code, message = error(client.charges(endpoint, **body))
    assert (status, code) == (400, 1201)
    assert named in message


def test_a_cursor_belongs_to_its_endpoint_and_the_endpoints_need_a_key(client, kling, error):
    made_and_done(client, kling, "squish", "squish")
    cursor = client.charges(limit=1).json()["data"]["next_cursor"]
    assert error(client.charges("balance", cursor=cursor))[1] == 1201
    assert error(client.send("GET", "/account/billing/package"))[1] == 1202
    assert error(client.send("POST", "/account/billing/package", data="no JSON"))[1] == 1200
    del client.session.headers["Authorization"]
    assert error(client.charges())[1] == 1001


@pytest.mark.kling_emulator(billing_interval=1.0)
def test_the_interval_of_the_billing_endpoints(client, kling, error):
    assert client.charges().status_code == client.charges("balance").status_code == 200
    assert error(client.charges())[:2] == (429, 1302)
    kling.advance(1)
    assert client.charges().status_code == 200


# --- Steering


def test_another_program_is_charged(client, kling):
    (own,) = made_and_done(client, kling, "squish")
    others = kling.charge(1.5, times=10)
    assert len({*others, own}) == 11
    lines = client.all_charges()
    assert len(lines) == 11
    assert {line["task_id"] for line in lines if line["api_key_name"] == "another program"} == set(others)
    assert client.listed() == [own]
    assert kling.state["spent"] == "17.5"
    with pytest.raises(ValueError, match="units"):
        kling.charge("much")


def test_billing_has_faults_and_a_journal(client, kling, error):
    kling.fault(1302, on="billing", match="money")
    assert client.charges().status_code == 200
    assert error(client.charges("balance"))[1] == 1302
    assert [entry["kind"] for entry in kling.journal] == ["billing", "billing"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"pack": ("A",)},
        {"pack": ("A=x",)},
        {"pack": ("A=1:5:2",)},
        {"price": ("squish",)},
        {"price": ("squish=-1",)},
        {"moderation_code": 7},
    ],
)
def test_a_wrong_setting_is_refused(kling, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        kling.configure(**wrong)


def test_money_is_set_by_flags_and_by_variables():
    variables = {"PACK": "A=1,B=2.5:0:60", "PRICE": "squish=4", "RESERVE_UNITS": "true", "MODERATED_SCENE": "emoji"}
    parsed = parse(["--cash", "3"], {f"KLING_EMULATOR_{name}": value for name, value in variables.items()})
    assert (parsed.pack, parsed.price, parsed.cash) == (("A=1", "B=2.5:0:60"), ("squish=4",), 3.0)
    assert (parsed.reserve_units, parsed.moderated_scene) == (True, ("emoji",))
    assert parse(to_arguments(parsed), {}) == parsed


# --- The bare state machine


STEPS = st.lists(st.tuples(st.sampled_from(["create", "wait", "fail", "buy", "other"]), st.integers(0, 40)), max_size=60)


@hypothesis_settings(max_examples=examples(60))
@given(STEPS, st.booleans(), st.sampled_from([0.0, 3.0]), st.sampled_from(["newest", "oldest"]), st.integers(1, 7))
def test_the_bill_is_what_was_spent_whatever_happens(steps, reserve, cash, order, limit):
    """The sum of all lines is what was spent, no line is missing on any page, and packs never go below nothing without need."""
    options = {"pack": ("A=6", "B=5:0:30", "C=9:20:80"), "price": ("squish=1.3",), "cash": cash, "list_order": order}
    account, now = Account(Settings(slots=50, reserve_units=reserve, **options), now=0.0), 0.0
    for what, number in steps:
        if what == "wait":
            now += number / 4
        elif what == "buy":
            account.billing.buy(name="bought", units=Decimal(number), now=now, expires_in=10.0)
        elif what == "other":
            account.charge_other(Decimal(number) / 10, now=now)
        elif what == "fail" and account.records:
            account.finish(account.records[number % len(account.records)], now=now, failure="no")
        else:
            with contextlib.suppress(Refusal):
                account.create(Order(title=("squish", "emoji")[number % 2]), now=now)
    for record in account.records:
        account.finish(record, now=now)
    now += 100
    account.used(now)
    truth = sum((Decimal(account.units(record)) for record in account.records), Decimal(0))
    others = sum((line.amount for line in account.billing.lines if line.function != "Video Effects"), Decimal(0))
    if not cash:
        assert sum(line.amount for line in account.billing.lines) == account.spent == truth + others
    assert account.billing.reserved == 0
    for pack in account.billing.packs(account.settings):
        assert pack.used == sum(line.amount for line in account.billing.lines if line.pack is pack)
    for paid_with in ("units", "money"):
        query, found = ReceivedChargeQuery(end_time=10**14, limit=limit), []
        while True:
            page = account.charges(paid_with, query, now=now)
            found += page["result"]["detail"]
            if not page["has_more"]:
                break
            query = ReceivedChargeQuery(cursor=page["next_cursor"])
        lines = [line.to_json() for line in account.billing.lines if line.paid_with == paid_with]
        assert found == (lines if order == "oldest" else lines[::-1])


def test_a_refused_image_is_named_if_the_account_says_which(client, kling, error):
    kling.configure(moderated_image=("bad",), moderated_scene=("emoji",))
    assert error(client.create("https://example.com/bad.jpg")) == (
        400,
        1301,
        "Triggered the content security policy of the platform",
    )
    assert error(client.create(scene="emoji"))[1] == 1301
    kling.configure(moderation_code=1300, moderation_names_image=True)
    status, code, message = error(client.create("https://example.com/a.jpg", "https://example.com/bad.jpg", scene="kiss_pro"))
    assert (status, code, message.endswith("image 2")) == (400, 1300, True)
    assert kling.ledger == []


def test_an_image_in_base64_is_known_by_its_bytes(client, kling, picture, error):
    import base64
    import hashlib

    good, bad = picture(), picture(color="black")
    digest = hashlib.sha256(base64.b64decode(bad)).hexdigest()
    kling.configure(moderated_image=(digest[:12],))
    assert client.create(good).status_code == 200
    assert error(client.create(bad))[1] == 1301
    kling.configure(moderated_image=(), risky_image=(digest, "later"))
    ids = [client.made(bad), client.made("https://example.com/later.png"), client.made(good)]
    kling.finish()
    messages = [client.task(any_id)["task_status_msg"] for any_id in ids]
    assert messages == ["Failure to pass the risk control system", "Failure to pass the risk control system", ""]
