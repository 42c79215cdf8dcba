"""KlingEffectOperator through Airflow's real task runner, against the emulator: modes, waits for a slot, and outcomes."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pendulum
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from task_runs import URL, FakeAirflow, fire, operator

from airflow_provider_kling.triggers import HOLD_BACK, KlingEffectTrigger

# --- Modes


@pytest.mark.parametrize("deferrable", [False, True])
def test_create_only_returns_the_kling_task_id(airflow, kling, deferrable):
    run = airflow.finish(operator(deferrable=deferrable))
    assert run.state == "success"
    (row,) = kling.ledger
    assert airflow.result == row["kling_task_id"]
    assert airflow.xcoms["kling_task"] == {
        "row_id": None,
        "kling_task_id": row["kling_task_id"],
        "external_task_id": row["external_task_id"],
        "effect_scene": "pet_lion_pro",
    }


@pytest.mark.parametrize("deferrable", [False, True])
def test_waiting_returns_the_result_and_saves_the_videos(airflow, kling, photo, tmp_path, deferrable):
    run = airflow.finish(operator(image=photo, wait_for_completion=True, save_to=str(tmp_path), deferrable=deferrable))
    assert run.state == "success"
    result = airflow.result
    assert list(result) == [
        "kling_task_id", "external_task_id", "effect_scene", "status", "message", "videos", "units", "created_at", "updated_at"
    ]  # fmt: skip
    (video,) = result["videos"]
    assert list(video) == ["id", "url", "watermark_url", "duration", "expires_at", "path"]
    assert Path(video["path"]).read_bytes()[4:8] == b"ftyp"
    assert (result["status"], result["effect_scene"], result["units"]) == ("succeed", "pet_lion_pro", "2.5")
    assert len(kling.ledger) == 1
    assert airflow.xcoms["_link_KlingVideoLink"] == "/dags/d/runs/scheduled__2026-01-01/tasks/video/plugin/kling-task-videos"


def test_the_fields_are_templates(airflow, kling):
    run = airflow.finish(operator(effect_scene="{{ 'squish' }}", image="https://example.com/{{ run_id }}.jpg", row_id="{{ 7 }}"))
    assert run.state == "success"
    assert kling.ledger[0]["effect_scene"] == "squish"
    assert airflow.xcoms["kling_task"]["row_id"] == "7"


def test_a_callback_url_is_accepted(airflow, kling):
    airflow.finish(operator(callback_url=f"{kling.url}/nowhere"))
    assert len(kling.ledger) == 1


# --- Waiting for a slot


@pytest.mark.kling_emulator(slots=1, duration=0.3)
def test_without_deferrable_the_worker_waits_for_a_slot(airflow, kling):
    FakeAirflow(run_id="other").run(operator())
    assert airflow.finish(operator()).state == "success"
    assert len(kling.ledger) == 2


@pytest.mark.kling_emulator(slots=1, duration=600)
def test_with_a_url_the_triggerer_waits_for_a_slot(airflow, kling):
    FakeAirflow(run_id="other").run(operator())
    started = time.time()
    run = airflow.run(operator(deferrable=True, timeout=timedelta(hours=1)))
    path, kwargs = run.trigger
    assert path == "airflow_provider_kling.triggers.KlingEffectTrigger"
    assert kwargs["images"] == [URL]
    assert kwargs["external_id"].startswith("airflow-")
    assert started + 3600 <= kwargs["deadline"] <= time.time() + 3600
    assert started + HOLD_BACK <= kwargs["not_before"] <= time.time() + HOLD_BACK
    assert kling.api_key not in json.dumps(run.patch)
    kling.finish()
    event = fire(run)
    assert event["task"]["task_status"] == "submitted"
    assert airflow.run(operator(deferrable=True), event=event).state == "success"
    assert airflow.result == kling.ledger[1]["kling_task_id"]


@pytest.mark.kling_emulator(slots=1, duration=600)
def test_with_a_local_image_the_task_itself_is_rescheduled(airflow, kling, photo):
    FakeAirflow(run_id="other").run(operator())
    run = airflow.run(operator(image=photo, deferrable=True))
    assert run.state == "up_for_reschedule"
    wait = pendulum.parse(run.patch["reschedule_date"]) - datetime.now(timezone.utc)
    assert timedelta(seconds=9) < wait < timedelta(seconds=20)
    kling.finish()
    airflow.reschedules = 1
    assert airflow.run(operator(image=photo, deferrable=True, timeout=timedelta(days=36500))).state == "success"
    assert [row["kind"] for row in kling.journal] == ["create", "create", "get", "create"]


@pytest.mark.kling_emulator(slots=1, duration=600)
def test_reschedules_end_at_the_timeout(airflow, kling, photo):
    FakeAirflow(run_id="other").run(operator())
    airflow.reschedules = 1  # the first of them in January 2026
    run = airflow.run(operator(image=photo, deferrable=True, timeout=60))
    assert run.state == "failed"
    assert "The timeout came before the Kling task was created." in str(run.error)
    assert len(kling.ledger) == 1
    assert kling.requests("create") == kling.requests("create")[:1]


@pytest.mark.kling_emulator(slots=1, duration=600)
@pytest.mark.parametrize(
    ("deferrable", "known"),
    [
        (False, "Nothing was made, nothing was paid."),
        # A trigger may have started before, and created a task.
        (True, "This start created nothing, and Kling shows no task of an earlier one (external id airflow-"),
    ],
)
def test_no_slot_until_the_timeout_says_that_nothing_was_paid(airflow, kling, deferrable, known):
    FakeAirflow(run_id="other").run(operator())
    run = airflow.finish(operator(timeout=0.1, deferrable=deferrable))
    assert run.state == "failed"
    assert known in str(run.error)


def test_the_triggerer_waits_for_an_unavailable_server(airflow, kling):
    kling.fault(5001, on="create", times=4)
    run = airflow.run(operator(deferrable=True))
    assert run.state == "deferred"
    assert airflow.run(operator(deferrable=True), event=fire(run)).state == "success"
    assert len(kling.ledger) == 1


# --- Outcomes


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(("reason", "is_final"), [("Image pixel is invalid", True), ("Internal trouble", False)])
def test_a_failed_task_uses_retries_unless_its_input_is_at_fault(airflow, kling, deferrable, reason, is_final):
    kling.fail_next(reason)
    run = airflow.finish(operator(wait_for_completion=True, deferrable=deferrable))
    assert run.state == "failed"
    assert reason in str(run.error)
    assert isinstance(run.error, AirflowFailException) is is_final
    assert airflow.xcoms["failed_result"]["status"] == "failed"


def test_an_error_in_the_triggerer_that_only_a_person_can_fix_uses_no_retry(airflow, kling):
    task = operator(deferrable=True)
    run = airflow.run(task)
    kling.configure(api_key=["another-key"])
    run = airflow.run(task, event=fire(run))
    assert isinstance(run.error, AirflowFailException)
    assert "Check the keys" in str(run.error)


@pytest.mark.kling_emulator(duration=600)
def test_a_timeout_uses_retries_and_names_the_task(airflow, kling):
    run = airflow.finish(operator(wait_for_completion=True, timeout=4, deferrable=True))
    assert run.state == "failed"
    assert kling.ledger[0]["kling_task_id"] in str(run.error)
    assert "goes on at Kling" in str(run.error)
    assert airflow.xcoms["failed_result"]["status"] == "error"


@pytest.mark.parametrize(
    ("fault", "text"),
    [(1002, "Check the keys"), (1102, "resource pack"), (1301, "Use another image"), (1304, "allow list")],
)
def test_an_error_that_no_retry_can_fix_uses_none(airflow, kling, fault, text):
    kling.fault(fault, on="create", times=None)
    run = airflow.run(operator())
    assert run.state == "failed"
    assert isinstance(run.error, AirflowFailException)
    assert text in str(run.error)
    assert airflow.xcoms["failed_result"]["error"].startswith("Kling says:")


def test_a_bad_image_fails_before_anything_is_sent(airflow, kling, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_text("no image")
    run = airflow.run(operator(image=str(bad), row_id="r7"))
    assert run.state == "failed"
    assert str(bad) in str(run.error)
    assert airflow.xcoms["failed_result"]["status"] == "invalid"
    assert airflow.xcoms["failed_result"]["row_id"] == "r7"
    assert kling.journal == []


def test_an_unknown_scene_warns_and_names_the_nearest(airflow, kling, caplog):
    kling.configure(strict_scenes=False)
    assert airflow.run(operator(effect_scene="pet_lion_prp")).state == "success"
    assert airflow.run(operator(effect_scene="pet_lion_prp", strict=True)).state == "failed"


def test_an_event_of_an_unknown_shape_is_an_error(airflow, kling):
    for event in ({"status": "success"}, "done", {"task": {"task_id": "1"}}, {}):
        run = airflow.run(operator(), event=event)
        assert run.state == "failed", event
        assert airflow.xcoms.pop("failed_result")["status"] == "error"  # the operator has evaluated the event


@pytest.mark.kling_emulator(slots=0)
def test_an_input_error_in_the_triggerer_makes_the_row_invalid(airflow, kling):
    run = airflow.run(operator(deferrable=True, row_id="r"))
    _, kwargs = run.trigger
    event = asyncio.run(anext(aiter(KlingEffectTrigger(**{**kwargs, "images": ["foo://bucket/a.jpg"]}).run()))).payload
    assert airflow.run(operator(deferrable=True, row_id="r"), event=event).state == "failed"
    assert airflow.xcoms["failed_result"]["status"] == "invalid"


def test_a_missing_connection_makes_the_row_an_error_but_not_invalid(airflow, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_KLING_DEFAULT", raising=False)
    assert airflow.run(operator(row_id="r")).state == "failed"
    assert airflow.xcoms["failed_result"]["status"] == "error"
    assert "is not defined" in airflow.xcoms["failed_result"]["error"]
