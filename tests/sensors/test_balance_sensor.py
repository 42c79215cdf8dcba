"""KlingBalanceSensor in all its modes through Airflow's real task runner, and its trigger, against the emulator."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from airflow.sdk import DAG
from hostile import HostileKling, body, envelope, hang, status
from task_runs import FakeAirflow, fire

from airflow_provider_kling import errors
from airflow_provider_kling.api import Balance
from airflow_provider_kling.hooks import KlingHook, balance, turns
from airflow_provider_kling.sensors import KlingBalanceSensor
from airflow_provider_kling.triggers import VERSION, KlingBalanceTrigger

MODES = {"poke": {"mode": "poke"}, "reschedule": {"mode": "reschedule"}, "deferrable": {"deferrable": True}}


# The account takes requests in any number, and so does the reader but for the tests of its pace.
pytestmark = pytest.mark.kling_emulator(costs_interval=0.0)


@pytest.fixture(autouse=True)
def spacing(request, monkeypatch, tmp_path):
    """Turns of other tests, which had other accounts on the same port, are over."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(balance, "TURNS", turns.Turns())
    if "real_pace" not in request.fixturenames:
        monkeypatch.setattr(turns, "SPACING", 0.01)


@pytest.fixture
def real_pace():
    """Requests of one process keep the distance that Kling asks for."""


@pytest.fixture(params=MODES)
def mode(request):
    return MODES[request.param]


@pytest.fixture
def airflow():
    return FakeAirflow()


def sensor(units=10, **kwargs) -> KlingBalanceSensor:
    with DAG("d", schedule=None):
        return KlingBalanceSensor(task_id="units", units=units, **{"poke_interval": 0.05, **kwargs})


def finish(airflow, waiting):
    run = airflow.finish(waiting)
    while run.state == "up_for_reschedule":
        run = airflow.finish(waiting)
    return run


def trigger(**kwargs) -> KlingBalanceTrigger:
    return KlingBalanceTrigger(
        **{"kling_conn_id": "kling_default", "units": "10", "deadline": time.time() + 60, "poll_interval": 0.05, **kwargs}
    )


async def event_of(waiting: KlingBalanceTrigger):
    (event,) = [event.payload async for event in waiting.run()]
    return json.loads(json.dumps(event))


@pytest.mark.kling_emulator(costs_interval=0.0, pack=("A=4", "B=8.5", "old=100:-10:-5", "later=100:5000:9000"))
def test_the_packs_that_are_online_are_counted_and_the_xcom_says_how_late_that_is(airflow, kling, mode):
    assert finish(airflow, sensor("12.5", **mode)).state == "success"
    result = airflow.result
    assert (result["units"], result["delay_hours"]) == ("12.5", 12)
    assert [(pack["name"], pack["units"], pack["status"]) for pack in result["packs"]] == [
        ("A", "4.0", "online"),
        ("B", "8.5", "online"),
        ("old", "0", "expired"),
        ("later", "0", "toBeOnline"),
    ]
    assert result["as_of"] < result["read_at"]
    assert finish(airflow, sensor(4.5, pack_name="A", wait=False, **mode)).state == "failed"


@pytest.mark.kling_emulator(balance=3.0, costs_interval=0.0)
def test_it_fails_at_once_where_it_shall_not_wait(airflow, kling, mode):
    run = finish(FakeAirflow(max_tries=3), sensor(10, wait=False, **mode))
    assert run.state == "failed"
    assert "10 units are wanted; found 3.0 units in 1 of 1 resource packs; Kling's number may be 12 h old." in str(run.error)
    assert finish(airflow, sensor(10, wait=False, soft_fail=True, **mode)).state == "skipped"


@pytest.mark.kling_emulator(balance=3.0, costs_interval=0.0)
def test_a_deferred_sensor_is_resumed_when_units_were_bought(airflow, kling):
    waiting = sensor(10, deferrable=True)
    run = airflow.run(waiting)
    assert run.state == "deferred"
    kling.buy_pack(7)
    assert airflow.run(waiting, event=fire(run)).state == "success"
    assert airflow.result["units"] == "10.0"


@pytest.mark.kling_emulator(balance=3.0, costs_interval=0.0)
def test_a_timeout_says_what_was_seen(airflow, kling):
    run = finish(airflow, sensor(10, deferrable=True, timeout=0.2))
    assert run.state == "failed"
    assert type(run.error).__name__ == "AirflowSensorTimeout"
    assert "did not hold 10 units in time. Last seen: 3.0 units in 1 of 1 resource packs" in str(run.error)
    assert finish(FakeAirflow(), sensor(10, deferrable=True, timeout=0.2, soft_fail=True)).state == "skipped"
    assert finish(FakeAirflow(), sensor(10, timeout=0.2)).state == "failed"


def test_passing_faults_are_waited_out(airflow, kling, mode):
    kling.fault(502, on="costs", times=1)
    kling.fault(1302, on="costs", times=1)
    assert finish(airflow, sensor(10, **mode)).state == "success"


@pytest.mark.parametrize(("code", "named"), [(1002, "Check the keys"), (1101, "Pay the open amount")])
def test_an_error_of_the_account_fails_it_at_once(airflow, kling, mode, code, named):
    kling.fault(code, on="costs", times=None)
    run = finish(FakeAirflow(max_tries=3), sensor(10, **mode))
    assert run.state == "failed"
    assert named in str(run.error)


@pytest.mark.kling_emulator(balance=3.0, costs_interval=0.0)
def test_an_error_in_the_triggerer_keeps_its_class(airflow, kling):
    waiting = sensor(10, deferrable=True)
    run = airflow.run(waiting)
    kling.fault(1002, on="costs", times=None)
    failed = airflow.run(waiting, event=fire(run))
    assert failed.state == "failed"
    assert isinstance(failed.error.__cause__, errors.KlingAuthError)


@pytest.mark.parametrize("units", ["many", "", None, -1, "NaN", True, [1], "1e99"])
def test_a_number_that_is_none_is_refused_when_the_dag_is_parsed(units):
    with pytest.raises(errors.KlingInputError, match="units is"):
        sensor(units)


@pytest.mark.parametrize("units", [Decimal("2.5"), 0, "2.5", 2.5])
def test_numbers_of_any_kind_are_taken(airflow, kling, units):
    assert finish(airflow, sensor(units)).state == "success"


def test_a_plan_says_what_is_needed(airflow, kling):
    assert finish(airflow, sensor({"cost": {"at_most": "2.5", "unknown": 0}})).state == "success"
    with pytest.raises(errors.KlingInputError, match="a plan whose cost is not known"):
        sensor({"cost": {"at_most": None, "unknown": 3}})
    with pytest.raises(errors.KlingInputError, match="or a plan"):
        sensor({"units": 7})


def test_a_template_is_checked_when_it_is_rendered(airflow, kling):
    assert finish(airflow, sensor("{{ 2 * 3 }}", pack_name="{{ none }}")).state == "success"
    run = finish(FakeAirflow(max_tries=3), sensor("{{ none }}"))
    assert run.state == "failed"
    assert "units is 'None'" in str(run.error)
    assert len(kling.requests("costs")) == 1


@pytest.mark.parametrize("event", [{}, {"balance": {}}, {"balance": 7}, "success", {"task": {}}], ids=str)
def test_an_event_of_an_unknown_shape_is_never_a_success(airflow, kling, event):
    assert airflow.run(sensor(deferrable=True), event=event).state in ("failed", "up_for_retry")


def test_a_missing_connection_is_noticed_on_the_worker(airflow, kling, mode):
    run = finish(FakeAirflow(max_tries=3), sensor(kling_conn_id="nowhere", **mode))
    assert run.state == "failed"
    assert "not defined" in str(run.error)


# --- The trigger


def seen(kling, count: int) -> None:
    """Wait until the emulator has had so many requests."""
    while len(kling.requests("costs")) < count:
        pass


# A row as a worker of this version writes it into Airflow's database. It must run for ever.
ROW = {
    "kling_conn_id": "kling_default",
    "units": "10",
    "deadline": 1764130000.0,
    "poll_interval": 600.0,
    "not_before": 1764120000.0,
    "pack_name": None,
    "version": 5,
}


def test_a_stored_row_still_runs(kling):
    waiting = KlingBalanceTrigger(**ROW)
    assert waiting.serialize() == ("airflow_provider_kling.triggers.KlingBalanceTrigger", ROW)
    waiting.deadline = time.time() + 60
    assert asyncio.run(event_of(waiting))["balance"]["units"] == "1000000.0"


def test_a_row_of_a_newer_version_is_kept_and_does_nothing(kling):
    newer = KlingBalanceTrigger(**{**ROW, "version": VERSION + 1, "currency": "USD"})
    assert newer.serialize()[1] == {**ROW, "version": VERSION + 1, "currency": "USD"}
    event = asyncio.run(event_of(newer))
    assert event["retryable"]
    assert "an older version" in event["error"]
    assert kling.journal == []
    with pytest.raises(TypeError, match="unknown arguments: currency"):
        KlingBalanceTrigger(**ROW, currency="USD")


@pytest.mark.kling_emulator(balance=1.0, costs_interval=0.2)
def test_all_that_wait_in_a_triggerer_share_one_request_a_second(kling, real_pace):
    async def run():
        waiting = [asyncio.create_task(event_of(trigger(poll_interval=0.05))) for _ in range(100)]
        await asyncio.to_thread(seen, kling, 2)
        await asyncio.to_thread(kling.buy_pack, 100)
        return await asyncio.gather(*waiting)

    events = asyncio.run(run())
    assert {event["balance"]["units"] for event in events} == {"101.0"}
    requests = kling.requests("costs")
    assert {request["code"] for request in requests} == {0}  # two within a fifth of a second would be refused
    assert len(requests) < 20  # not one for each


@pytest.mark.kling_emulator(costs_interval=0.2)
def test_sensors_of_one_process_take_turns(kling, real_pace):
    with KlingHook() as hook, ThreadPoolExecutor(3) as pool:
        assert len(list(pool.map(lambda _: hook.get_balance(), range(3)))) == 3
    assert [request["code"] for request in kling.requests("costs")] == [0, 0, 0]


def test_it_waits_for_its_turn_when_another_program_takes_the_second(kling, monkeypatch):
    kling.fault(1302, on="costs", times=2)
    assert asyncio.run(event_of(trigger()))["balance"]["units"] == "1000000.0"
    assert [request["code"] for request in kling.requests("costs")] == [1302, 1302, 0]


def test_a_sensor_that_looks_a_moment_later_uses_the_same_answer(kling):
    async def run():
        async with KlingHook() as hook, balance.shared_balance(hook) as reader:
            first = await reader.packs()
            assert await reader.packs(max_age=60) == first
            return [await event_of(trigger(poll_interval=600.0)) for _ in range(3)]

    assert len(asyncio.run(run())) == 3
    assert len(kling.requests("costs")) == 1


def test_a_triggers_end_does_not_end_the_request_of_the_others(kling):
    kling.fault("slow", on="costs", seconds=0.5)

    async def run():
        first, second = asyncio.create_task(event_of(trigger())), asyncio.create_task(event_of(trigger()))
        await asyncio.to_thread(seen, kling, 1)
        first.cancel()
        return await second

    assert "balance" in asyncio.run(run())
    assert len(kling.requests("costs")) == 1


@pytest.mark.parametrize(
    "answer",
    [
        body(b"<html>"),
        body(envelope({"code": 1100, "msg": "abnormal"})),
        body(envelope({"resource_pack_subscribe_infos": [{"remaining_quantity": "many"}]})),
        status(429, 1302, "too many"),
        hang,
    ],
    ids=["html", "inner code", "no number", "busy", "hangs"],
)
def test_whatever_the_server_does_the_wait_ends_at_its_deadline(monkeypatch, answer):
    monkeypatch.setattr(balance, "BUSY_TRIES", 1)
    with HostileKling() as server:
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", server.connection(timeout=1))
        server.answer("other", answer)
        event = asyncio.run(event_of(trigger(deadline=time.time() + 0.3)))
    assert "did not hold 10 units in time. Last seen: " in event["timeout"]


def test_the_hook_reads_the_balance_in_both_modes(kling):
    async def read():
        async with KlingHook() as hook:
            return await hook.aget_balance()

    with KlingHook() as hook:
        both = [hook.get_balance(), asyncio.run(read())]
    assert [each.units for each in both] == [1_000_000, 1_000_000]
    assert both[0].as_of == both[0].read_at.subtract(hours=12)
    assert Balance.of([], now=both[0].read_at).describe() == "0 units in no resource pack; Kling's number may be 12 h old."
