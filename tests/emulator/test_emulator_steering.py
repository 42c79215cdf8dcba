"""How a test can steer the account, and what it can read."""

from __future__ import annotations

import json

import pytest
import requests

from airflow_provider_kling.emulator import KlingEmulator
from airflow_provider_kling.emulator.model import Clock, Journal
from airflow_provider_kling.emulator.model.journal import LENGTH

# --- Tasks to come -------------------------------------------------------------------------------------------------


def test_next_task_can_be_made_to_fail(client, kling):
    kling.fail_next("the weather")
    ids = [client.made(), client.made()]
    kling.finish()
    assert [client.task(task_id)["task_status_msg"] for task_id in ids] == ["the weather", ""]


def test_task_of_an_external_id_can_be_made_to_fail(client, kling):
    kling.fail_next("the weather", match="row-2", times=None)
    ids = [client.made(external_id=f"row-{number}") for number in (1, 2, 3)]
    kling.finish()
    assert [client.task(task_id)["task_status"] for task_id in ids] == ["succeed", "failed", "succeed"]


def test_next_task_can_take_another_time(client, kling):
    kling.plan(duration=100)
    ids = [client.made(), client.made()]
    kling.advance(10)
    assert [client.task(task_id)["task_status"] for task_id in ids] == ["processing", "succeed"]


def test_task_can_be_made_never_to_end(client, kling):
    kling.plan(never=True)
    task_id = client.made()
    kling.advance(365 * 86400)
    assert client.task(task_id)["task_status"] == "processing"
    assert kling.state["slots"]["running"] == 1
    kling.finish(task_id)
    assert client.task(task_id)["task_status"] == "succeed"


def test_task_can_show_an_unknown_status(client, kling):
    kling.plan(status="pondering")
    task_id = client.made()
    assert client.task(task_id)["task_status"] == "pondering"
    kling.show_status(task_id, None)
    assert client.task(task_id)["task_status"] == "submitted"
    kling.show_status(task_id, "succeeded")
    assert client.task(task_id)["task_status"] == "succeeded"


# --- Existing tasks ------------------------------------------------------------------------------------------------


def test_task_can_be_ended(client, kling):
    ids = [client.made(external_id="a"), client.made(external_id="b"), client.made(external_id="c")]
    kling.finish("a")
    kling.fail("b", "because")
    assert [client.task(task_id)["task_status"] for task_id in ids] == ["succeed", "failed", "submitted"]
    kling.finish()
    assert client.task("c")["task_status"] == "succeed"


def test_task_can_be_held(client, kling):
    task_id = client.made()
    kling.hold(task_id)
    kling.advance(10_000)
    assert client.task(task_id)["task_status"] == "processing"


def test_forgotten_task_stays_in_the_ledger_only(client, kling, error):
    task_id = client.made(external_id="mine")
    kling.forget("mine")
    assert error(client.get(task_id))[1] == error(client.get("mine"))[1] == 1201
    assert client.listed() == []
    assert [line["forgotten"] for line in kling.ledger] == [True]
    client.made(external_id="mine")
    assert len(kling.ledger) == 2


@pytest.mark.parametrize("verb", ["finish", "fail", "hold", "forget", "expire_links"])
def test_unknown_task_cannot_be_steered(kling, verb):
    with pytest.raises(ValueError, match="nobody"):
        getattr(kling, verb)("nobody")


# --- Account, time, settings ---------------------------------------------------------------------------------------


def test_time_can_be_advanced(kling):
    before = kling.state["now"]
    assert kling.advance(60) == before + 60
    assert kling.state["now"] == before + 60
    with pytest.raises(ValueError, match="forward"):
        kling.advance(-1)


def test_clock_runs_fast_or_stands_still():
    wall = 1000.0
    clock = Clock(speed=60, real=lambda: wall)
    wall += 1
    assert clock.now() == 1060
    clock.advance(5)
    assert clock.wait_until(1065 + 120) == pytest.approx(2)
    clock.set_speed(0)
    wall += 100
    assert clock.now() == 1065
    assert clock.wait_until(1066) is None
    assert clock.wait_until(1000) == 0
    clock.set_speed(1)
    wall -= 500
    assert clock.now() == 1065


def test_manual_clock_can_be_started(kling):
    kling.configure(manual_clock=False, speed=1e6)
    first = kling.state["now"]
    assert kling.state["now"] > first


def test_settings_can_be_changed(client, kling):
    kling.configure(slots=1, duration=60, units="4")
    assert kling.state["settings"]["duration"] == 60
    task_id = client.made()
    assert client.create().json()["code"] == 1303
    kling.advance(60)
    assert client.task(task_id)["final_unit_deduction"] == "4"


@pytest.mark.parametrize(
    ("name", "value"),
    [("port", 1), ("colour", "red"), ("slots", -1), ("slots", "two"), ("list_order", "odd"), ("units", "many"), ("jitter", 2)],
)
def test_invalid_setting_is_refused(kling, name, value):
    with pytest.raises(ValueError, match=name):
        kling.configure(**{name: value})


def test_reset_returns_to_the_start(client, kling):
    kling.configure(slots=1)
    kling.fault(5000, times=None)
    kling.fail_next()
    kling.occupy(1)
    client.create()
    kling.reset()
    assert (kling.ledger, kling.journal) == ([], [])
    assert kling.state["slots"] == {"limit": 5, "running": 0, "occupied": 0}
    task_id = client.made()
    kling.finish()
    assert client.task(task_id)["task_status"] == "succeed"


def test_steering_speaks_plain_json(kling):
    answer = requests.post(f"{kling.url}/_emulator/clock", data='{"advance": 60}', timeout=30)
    assert answer.json().keys() == {"now"}
    assert requests.post(f"{kling.url}/_emulator/clock", data="nonsense", timeout=30).status_code == 400
    assert requests.post(f"{kling.url}/_emulator/clock", data="[]", timeout=30).status_code == 400
    assert requests.post(f"{kling.url}/_emulator/clock", data="{}", timeout=30).status_code == 400
    assert requests.get(f"{kling.url}/_emulator/nothing", timeout=30).status_code == 404
    kling.fault(1303, times=3)
    assert requests.get(f"{kling.url}/_emulator/faults", timeout=30).json()[0]["what"] == 1303


# --- Reading -------------------------------------------------------------------------------------------------------


def test_state_counts(client, kling):
    client.made()
    kling.advance(10)
    client.made()
    state = kling.state
    assert state["tasks"] == {"made": 2, "submitted": 1, "processing": 0, "succeed": 1, "failed": 0}
    assert state["slots"] == {"limit": 5, "running": 1, "occupied": 0}
    assert state["requests"] == {"create": 2}
    assert state["answers"] == {"create 0": 2}


def test_journal_lists_requests_with_their_sender(client, kling):
    client.session.headers["User-Agent"] = "test/1"
    task_id = client.made(external_id="mine", scene="squish")
    client.get("mine")
    client.list(pageSize=7)
    create, get, page = kling.journal
    assert (create["method"], create["path"], create["external_task_id"], create["effect_scene"]) == (
        "POST",
        "/v1/videos/effects",
        "mine",
        "squish",
    )
    assert (get["kind"], get["id"], get["kling_task_id"], get["status"], get["code"]) == ("get", "mine", task_id, 200, 0)
    assert (page["query"], page["user_agent"], page["credential"]) == ("pageSize=7", "test/1", "API key 1")
    assert [entry["n"] for entry in kling.journal] == [1, 2, 3]
    assert kling.requests("get") == [get]
    assert kling.requests(since=2) == [page]


def test_nothing_that_can_be_read_holds_secrets_or_images(client, kling, picture):
    image, secret = picture(), "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI="
    kling.configure(webhook_secret=secret)
    client.made(image, callback_url="http://me:password@127.0.0.1:1/?token=hidden")
    client.session.headers["Authorization"] = "Bearer wrong-but-secret"
    client.create(image)
    kling.finish()
    read = json.dumps([kling.journal, kling.ledger, kling.state, kling.tasks, kling.slot_use])
    for hidden in (kling.api_key, kling.secret_key, "wrong-but-secret", image[:40], secret, "password", "hidden"):
        assert hidden not in read


def test_ledger_knows_every_task(client, kling):
    task_id = client.made(external_id="mine", scene="squish")
    kling.advance(10)
    (line,) = kling.ledger
    assert line.pop("ends_at") - line.pop("created_at") == pytest.approx(10)
    assert len(line.pop("fingerprint")) == 64
    assert line == {
        "kling_task_id": task_id,
        "external_task_id": "mine",
        "effect_scene": "squish",
        "status": "succeed",
        "message": "",
        "units": "2.5",
        "forgotten": False,
    }


def test_tasks_are_shown_as_the_api_shows_them(client, kling):
    client.made()
    kling.finish()
    assert kling.tasks == client.list().json()["data"]


def test_journal_keeps_the_last_entries_and_counts_all():
    journal = Journal()
    for _ in range(LENGTH + 10):
        journal.close(journal.open(time=0, kind="get", method="GET", path="/"), status=200, code=0)
    assert [entry["n"] for entry in journal.to_json(limit=1)] == [11]
    assert journal.counts() == {"requests": {"get": LENGTH + 10}, "answers": {"get 0": LENGTH + 10}}


def test_emulator_that_was_not_started_has_no_url():
    with pytest.raises(RuntimeError, match="not started"):
        _ = KlingEmulator().url


def test_port_in_use_is_an_error(kling):
    with pytest.raises(OSError, match="address"), KlingEmulator(port=int(kling.url.rpartition(":")[2])):
        pass
