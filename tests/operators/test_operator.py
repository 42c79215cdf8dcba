"""KlingEffectOperator through Airflow's real task runner, against the emulator."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pendulum
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from task_runs import URL, FakeAirflow, fire, operator

from airflow_provider_kling.outcomes import AirflowRescheduleException
from airflow_provider_kling.triggers import HOLD_BACK, KlingEffectTrigger, KlingTaskTrigger


@pytest.fixture
def airflow():
    return FakeAirflow()


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
    assert airflow.xcoms["_link_KlingVideoLink"] == video["url"]


def test_the_fields_are_templates(airflow, kling):
    run = airflow.finish(operator(effect_scene="{{ 'squish' }}", image="https://example.com/{{ run_id }}.jpg", row_id="{{ 7 }}"))
    assert run.state == "success"
    assert kling.ledger[0]["effect_scene"] == "squish"
    assert airflow.xcoms["kling_task"]["row_id"] == "7"


def test_a_callback_url_goes_along(airflow, kling):
    airflow.finish(operator(callback_url=f"{kling.url}/nowhere"))
    assert len(kling.ledger) == 1


# --- One external id per submission


def external_id(kling, airflow=None, **kwargs) -> str:
    kling.reset()
    assert (airflow or FakeAirflow()).finish(operator(**kwargs)).state == "success"
    return kling.ledger[0]["external_task_id"]


def test_the_same_wish_has_the_same_id_and_a_changed_one_another(kling, photo, tmp_path):
    first = external_id(kling)
    assert external_id(kling) == first
    assert external_id(kling, FakeAirflow(try_number=3)) == first
    others = [
        external_id(kling, effect_scene="squish"),
        external_id(kling, image="https://example.com/other.jpg"),
        external_id(kling, FakeAirflow(run_id="another")),
        external_id(kling, FakeAirflow(map_index=4)),
        external_id(kling, row_id="a"),
        external_id(kling, task_id="other"),
        external_id(kling, fresh="2"),
        external_id(kling, image=photo),
    ]
    assert len({first, *others}) == 9


def test_a_new_signature_of_a_presigned_url_is_the_same_submission(kling):
    signed = [f"{URL}?version=3&X-Amz-Signature={number}&X-Amz-Date=2026{number}" for number in (1, 2)]
    assert external_id(kling, image=signed[0]) == external_id(kling, image=signed[1])
    assert external_id(kling, image=signed[0]) != external_id(kling, image=f"{URL}?version=4&X-Amz-Signature=1")


def test_the_same_bytes_elsewhere_are_the_same_submission(kling, photo, tmp_path):
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(Path(photo).read_bytes())
    inline = base64.b64encode(copy.read_bytes()).decode()
    ids = [external_id(kling, image=image) for image in (photo, f"file://{copy}", inline, f"data:image/jpeg;base64,{inline}")]
    assert len(set(ids)) == 1


def test_a_row_id_stands_for_the_map_index(kling):
    assert external_id(kling, FakeAirflow(map_index=1), row_id="a") == external_id(kling, FakeAirflow(map_index=2), row_id="a")


def test_an_id_of_the_users_own_is_used(kling):
    assert external_id(kling, external_task_id="order-{{ 40 + 2 }}") == "order-42"


# --- Never pay twice


def test_a_retry_takes_the_task_of_the_first_try(airflow, kling):
    kling.fault("drop", on="create", after=True, times=1)
    kling.fault(1002, on="get", times=1)
    assert airflow.run(operator()).state == "failed"
    airflow.try_number = 2
    assert airflow.run(operator()).state == "success"
    assert len(kling.ledger) == 1
    assert airflow.result == kling.ledger[0]["kling_task_id"]
    assert [row["kind"] for row in kling.journal] == ["create", "get", "get"]


def test_the_first_try_asks_for_nothing_but_the_create(airflow, kling):
    airflow.run(operator())
    assert [row["kind"] for row in kling.journal] == ["create"]


def test_a_run_that_was_deleted_and_made_again_pays_nothing(kling):
    for _ in range(2):
        again = FakeAirflow()
        assert again.run(operator()).state == "success"
    assert len(kling.ledger) == 1


@pytest.mark.kling_emulator(duration=0)
def test_a_failed_task_is_asked_for_again_under_the_next_id(airflow, kling):
    kling.fail_next("Internal failure")
    first = airflow.run(operator(wait_for_completion=True))
    assert first.state in ("failed", "up_for_retry")
    assert airflow.xcoms["failed_result"]["status"] == "failed"
    airflow.try_number = 2
    assert airflow.run(operator(wait_for_completion=True)).state == "success"
    assert [row["status"] for row in kling.ledger] == ["failed", "succeed"]
    assert kling.ledger[1]["external_task_id"] == kling.ledger[0]["external_task_id"] + "-2"


# --- Waiting for a slot


@pytest.mark.kling_emulator(slots=1, duration=0.3)
def test_a_worker_that_waits_itself_waits_for_a_slot(airflow, kling):
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
    assert "No Kling task could be created until the timeout" in str(run.error)


@pytest.mark.kling_emulator(slots=1, duration=600)
@pytest.mark.parametrize("deferrable", [False, True])
def test_no_slot_until_the_timeout_says_that_nothing_was_paid(airflow, kling, deferrable):
    FakeAirflow(run_id="other").run(operator())
    run = airflow.finish(operator(timeout=0.1, deferrable=deferrable))
    assert run.state == "failed"
    assert "Nothing was made, nothing was paid" in str(run.error)


def test_a_server_that_is_away_is_waited_for_in_the_triggerer(airflow, kling):
    kling.fault(5001, on="create", times=4)
    run = airflow.run(operator(deferrable=True))
    assert run.state == "deferred"
    assert airflow.run(operator(deferrable=True), event=fire(run)).state == "success"
    assert len(kling.ledger) == 1


# --- Ends


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(("reason", "is_final"), [("Image pixel is invalid", True), ("Internal trouble", False)])
def test_a_failed_task_is_worth_a_retry_unless_its_input_is_at_fault(airflow, kling, deferrable, reason, is_final):
    kling.fail_next(reason)
    run = airflow.finish(operator(wait_for_completion=True, deferrable=deferrable))
    assert run.state == "failed"
    assert reason in str(run.error)
    assert isinstance(run.error, AirflowFailException) is is_final
    assert airflow.xcoms["failed_result"]["status"] == "failed"


def test_what_only_a_person_can_mend_comes_back_from_the_triggerer_as_that(airflow, kling):
    task = operator(deferrable=True)
    run = airflow.run(task)
    kling.configure(api_key=["another-key"])
    run = airflow.run(task, event=fire(run))
    assert isinstance(run.error, AirflowFailException)
    assert "Check the keys" in str(run.error)


@pytest.mark.kling_emulator(duration=600)
def test_a_timeout_is_for_airflows_retries_and_names_the_task(airflow, kling):
    run = airflow.finish(operator(wait_for_completion=True, timeout=4, deferrable=True))
    assert run.state == "failed"
    assert kling.ledger[0]["kling_task_id"] in str(run.error)
    assert "goes on at Kling" in str(run.error)
    left = airflow.xcoms["failed_result"]
    assert left["status"] == "error"


@pytest.mark.parametrize(
    ("fault", "text"),
    [(1002, "Check the keys"), (1102, "resource pack"), (1301, "Use another image"), (1304, "allow list")],
)
def test_what_no_retry_can_mend_uses_none(airflow, kling, fault, text):
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
    assert airflow.run(operator(effect_scene="pet_lion_prp")).state == "success"
    assert airflow.run(operator(effect_scene="pet_lion_prp", strict=True)).state == "failed"


def test_an_event_of_another_shape_is_an_error(airflow, kling):
    for event in ({"status": "success"}, "done", {"task": {"task_id": "1"}}, {}):
        run = airflow.run(operator(), event=event)
        assert run.state == "failed", event
        assert airflow.xcoms.pop("failed_result")["status"] == "error"  # it was judged, and no accident


@pytest.mark.kling_emulator(slots=0)
def test_an_input_error_in_the_triggerer_is_still_an_invalid_row(airflow, kling):
    run = airflow.run(operator(deferrable=True, row_id="r"))
    _, kwargs = run.trigger
    event = asyncio.run(anext(aiter(KlingEffectTrigger(**{**kwargs, "images": ["foo://bucket/a.jpg"]}).run()))).payload
    assert airflow.run(operator(deferrable=True, row_id="r"), event=event).state == "failed"
    assert airflow.xcoms["failed_result"]["status"] == "invalid"


def test_a_missing_connection_is_an_error_of_the_row_not_its_fault(airflow, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_KLING_DEFAULT", raising=False)
    assert airflow.run(operator(row_id="r")).state == "failed"
    assert airflow.xcoms["failed_result"]["status"] == "error"
    assert "is not defined" in airflow.xcoms["failed_result"]["error"]


# --- Secrets


def test_base64_is_in_no_rendered_field_and_no_row(airflow, kling, photo):
    image = base64.b64encode(Path(photo).read_bytes()).decode()
    assert airflow.run(operator(image=image)).state == "success"
    assert (
        airflow.run(operator(effect_scene="hug_pro", image=None, images=[image, f"data:image/jpeg;base64,{image}"])).state
        == "success"
    )
    shown = json.dumps([airflow.rendered, airflow.xcoms, operator(image=image).image])
    assert image[:60] not in shown
    assert "base64 image (81,744 characters)" in shown
    assert len(kling.ledger) == 2


@pytest.mark.kling_emulator(slots=0)
def test_base64_never_reaches_a_trigger_row(airflow, kling, photo):
    image = base64.b64encode(Path(photo).read_bytes()).decode()
    run = airflow.run(operator(image=image, deferrable=True))
    assert run.state == "up_for_reschedule"
    assert issubclass(AirflowRescheduleException, Exception)


# --- Triggers on their own


def kwargs(**more):
    return {"kling_conn_id": "kling_default", "deadline": time.time() + 60, "poll_interval": 0.05, "not_before": 0.0, **more}


def test_in_a_triggerer_the_event_is_held_back_until_its_time(kling):
    trigger = KlingTaskTrigger(**kwargs(kling_task_id="1", not_before=4e9))
    assert trigger.held_until == 0.0  # under dag.test() nothing is held
    trigger.task_instance = SimpleNamespace(task_id="video")
    assert trigger.held_until == 4e9


def test_a_trigger_that_starts_again_takes_the_task_it_has_made(kling):
    row = kwargs(effect_scene="squish", images=[URL], external_id="submission", callback_url=None, wait_for_completion=True)
    events = []
    for _ in range(2):
        trigger = KlingEffectTrigger(**row)

        async def run(trigger=trigger):
            return [event.payload async for event in trigger.run()]

        events += asyncio.run(run())
    assert [event["task"]["task_status"] for event in events] == ["succeed", "succeed"]
    assert len(kling.ledger) == 1
    assert len(kling.requests("create")) == 1  # Kling's refusal of the id is the second line, not the first
