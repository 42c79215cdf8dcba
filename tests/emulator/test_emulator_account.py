"""Slots, external ids, units: over HTTP, and in bulk on the bare state machine."""

from __future__ import annotations

import dataclasses
import random
from decimal import Decimal

import pytest

from airflow_provider_kling.api import Refusal
from airflow_provider_kling.emulator.model import Account, Order, Plan, Settings

FULL = (429, 1303, "parallel task over resource pack limit")


def order(external_id: str | None = None, *, scene: str = "squish", **more: str) -> Order:
    return Order(title=scene, external_task_id=external_id, **more)


# --- Slots ---------------------------------------------------------------------------------------------------------


@pytest.mark.kling_emulator(slots=2)
def test_task_holds_its_slot_from_submitted_until_it_ends(client, kling, error):
    client.made()
    kling.advance(5)
    client.made()
    assert error(client.create()) == FULL
    kling.advance(5)
    client.made()
    assert error(client.create()) == FULL


@pytest.mark.kling_emulator(slots=1)
def test_create_without_a_free_slot_makes_and_charges_nothing(client, kling, error):
    client.made()
    assert error(client.create(external_id="later")) == FULL
    kling.advance(10)
    assert len(kling.ledger) == 1
    assert kling.state["spent"] == "2.5"
    client.made(external_id="later")


@pytest.mark.kling_emulator(slots=1)
def test_failed_task_frees_its_slot(client, kling):
    kling.fail_next()
    client.made()
    kling.advance(10)
    client.made()


@pytest.mark.kling_emulator(slots=3)
def test_other_programs_use_slots_too(client, kling, error):
    kling.occupy(2)
    client.made()
    assert error(client.create()) == FULL
    kling.occupy(0)
    client.made()


@pytest.mark.kling_emulator(slots=1)
def test_all_keys_share_the_slots(client, kling, error):
    client.made()
    kling.configure(api_key=[kling.api_key, "second"])
    client.session.headers["Authorization"] = "Bearer second"
    assert error(client.create()) == FULL


@pytest.mark.kling_emulator(slots=2)
def test_slot_use_lists_each_change(client, kling):
    client.made()
    kling.advance(4)
    client.made()
    start = kling.slot_use[0][0]
    kling.advance(20)
    assert [(pytest.approx(moment - start), used) for moment, used in kling.slot_use] == [(0, 1), (4, 2), (10, 1), (14, 0)]


# --- External ids --------------------------------------------------------------------------------------------------


def test_external_id_stays_in_use_for_ever(client, kling, error):
    client.made(external_id="mine")
    in_use = (400, 1201, "External_task_id mine already exists")
    assert error(client.create(external_id="mine")) == in_use
    kling.fail("mine")
    assert error(client.create(external_id="mine")) == in_use
    assert len(kling.ledger) == 1


@pytest.mark.kling_emulator(free_failed_ids=True)
def test_external_id_of_a_failed_task_can_be_free_again(client, kling, error):
    first = client.made(external_id="mine")
    assert error(client.create(external_id="mine"))[1] == 1201
    kling.fail("mine")
    second = client.made(external_id="mine")
    assert client.task("mine")["task_id"] == second
    assert client.task(first)["task_status"] == "failed"


def test_tasks_without_an_external_id_do_not_collide(client):
    assert client.made() != client.made()
    assert client.made(external_id="") != client.made(external_id="")


# --- Units ---------------------------------------------------------------------------------------------------------


def test_failed_task_costs_nothing_by_default(client, kling):
    kling.fail_next("Image pixel is invalid")
    free = client.made()
    kling.finish()
    assert client.task(free)["final_unit_deduction"] == "0"
    kling.configure(charge_failed=True)
    kling.fail_next()
    paid = client.made()
    kling.finish()
    assert client.task(paid)["final_unit_deduction"] == "2.5"


@pytest.mark.kling_emulator(units="by-scene")
def test_price_may_depend_on_the_scene(client, kling):
    ids = [client.made(scene=scene) for scene in ("squish", "emoji", "squish")]
    kling.finish()
    prices = [client.task(task_id)["final_unit_deduction"] for task_id in ids]
    assert prices[0] == prices[2] != prices[1]
    assert all(1 <= Decimal(price) <= Decimal("5.5") for price in prices)


@pytest.mark.kling_emulator(balance=4.0)
def test_account_without_units_makes_no_tasks(client, kling, error):
    client.made()
    client.made()
    kling.finish()
    assert error(client.create()) == (429, 1102, "Account balance not enough")
    assert client.costs().json()["data"]["resource_pack_subscribe_infos"][0]["status"] == "runOut"


def test_costs_are_wrapped_twice_and_fall_on_completion(client, kling):
    client.made()
    packs = client.costs().json()["data"]
    assert packs["code"] == 0
    assert packs["resource_pack_subscribe_infos"][0]["remaining_quantity"] == 1_000_000
    kling.advance(10)
    assert client.costs().json()["data"]["resource_pack_subscribe_infos"][0]["remaining_quantity"] == 999_997.5


def test_costs_can_be_queried_once_a_second(client, kling, error):
    assert client.costs().status_code == 200
    assert error(client.costs())[:2] == (429, 1302)
    kling.advance(1)
    assert client.costs().status_code == 200


def test_costs_can_be_queried_for_one_pack(client, kling):
    kling.configure(costs_interval=0)
    assert len(client.costs(resource_pack_name="Emulator pack").json()["data"]["resource_pack_subscribe_infos"]) == 1
    assert client.costs(resource_pack_name="another").json()["data"]["resource_pack_subscribe_infos"] == []


def test_costs_need_a_period(client, error):
    assert error(client.costs(start_time="yesterday"))[:2] == (400, 1201)


# --- The bare state machine ----------------------------------------------------------------------------------------


def test_slots_are_right_at_any_moment_of_a_long_run():
    account, chance, now = Account(Settings(slots=20, jitter=0.9, seed=3), now=1e9), random.Random(1), 1e9
    for step in range(3000):
        now += chance.expovariate(2)
        if account.used(now) < 20:
            account.create(order(f"task {step}"), now=now)
        else:
            with pytest.raises(Refusal, match="parallel task"):
                account.create(order(f"task {step}"), now=now)
        if step % 47 == 0 and account.records:
            account.finish(chance.choice(account.records), now=now)
        truth = sum(not record.done(now) for record in account.records)
        assert account.used(now) == truth <= 20
    assert max(used for _, used in account.slot_use(now)) == 20
    assert account.slot_use(now)[-1][1] == account.used(now)
    assert account.spent == Decimal("2.5") * sum(record.done(now) for record in account.records)


def test_jitter_is_the_same_for_the_same_seed_and_within_its_bounds():
    def durations(seed: int) -> list[float]:
        account = Account(Settings(slots=100, jitter=0.5, seed=seed), now=0)
        return [account.create(order(), now=0).ends_at for _ in range(100)]

    assert durations(1) == durations(1) != durations(2)
    assert 5 <= min(durations(1)) < max(durations(1)) <= 15


@pytest.mark.parametrize("later", [0, 0.001])
def test_other_account_gives_other_ids(later):
    def ids(now):
        account = Account(Settings(), now=now)
        return {account.create(order(), now=now).kling_task_id for _ in range(3)}

    first, second = ids(1.7e9), ids(1.7e9 + later)
    assert not first & second
    assert {len(task_id) for task_id in first | second} == {18}


def test_held_task_ends_only_by_hand():
    account = Account(Settings(slots=1), now=0)
    record = account.create(order(), now=0)
    account.hold(record, now=1)
    assert account.used(1e9) == 1
    assert record.ledger_line(now=1e9, units="1")["ends_at"] is None
    account.finish(record, now=1e9)
    assert account.used(1e9) == 0
    account.hold(record, now=2e9)
    assert record.done(2e9)


def test_finished_task_cannot_fail_any_more():
    account = Account(Settings(), now=0)
    record = account.create(order(), now=0)
    account.finish(record, now=20, failure="too late")
    assert record.status(20) == "succeed"


def test_each_status_change_is_announced_once_even_if_the_task_ends_early():
    account = Account(Settings(), now=0)
    record = account.create(order(callback_url="http://example.com"), now=0)
    assert [record.status(moment) for record, moment in account.notices(0)] == ["submitted"]
    account.finish(record, now=0.5)
    assert [record.status(moment) for record, moment in account.notices(100)] == ["succeed"]
    assert account.next_notice() is None


def test_plan_holds_for_the_tasks_that_it_matches():
    account = Account(Settings(slots=10), now=0)
    account.plans.append(Plan(match="emoji", fail="no", times=None))
    account.plans.append(Plan(match="one", duration=3))
    made = [
        account.create(order(name, scene=scene), now=0)
        for name, scene in (("x", "emoji"), ("one", "squish"), ("one more", "squish"))
    ]
    assert [(record.failure, record.ends_at) for record in made] == [("no", 10), ("", 3), ("", 10)]


def test_settings_hold_from_their_change_on():
    account = Account(Settings(slots=10), now=0)
    early = account.create(order(), now=0)
    account.settings = dataclasses.replace(account.settings, duration=60.0)
    late = account.create(order(), now=0)
    assert (early.ends_at, late.ends_at) == (10, 60)
