"""What the hook's creates, waits and downloads accept, and what they refuse in one sentence."""

from __future__ import annotations

import base64
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk import ObjectStoragePath
from hook_calls import REQUEST, URL

from airflow_provider_kling import errors


def test_a_scene_and_an_image_of_any_source_make_the_request(hook, kling, photo):
    path = Path(photo)
    sources = [URL, str(path), path, ObjectStoragePath(f"file://{path}"), base64.b64encode(path.read_bytes()).decode()]
    for number, image in enumerate(sources):
        task = hook.create_task(effect_scene="pet_lion_pro", image=image, external_task_id=f"w{number}")
        hook.wait_for_task(task.kling_task_id, timeout=timedelta(seconds=30), poll_interval=timedelta(seconds=0.1))
    assert [task["external_task_id"] for task in kling.ledger] == [f"w{number}" for number in range(len(sources))]


def test_two_images_make_the_request_of_a_dual_scene(hook, kling, photo):
    hook.create_task(effect_scene="hug_pro", images=(URL, Path(photo)))
    assert len(kling.ledger) == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "effect_scene is missing"),
        ({"effect_scene": "pet_lion_pro"}, "There is no image"),
        ({"effect_scene": "pet_lion_pro", "image": URL, "images": [URL]}, "Both image and images are given"),
        ({"effect_scene": "pet_lion_pro", "image": [URL]}, "image is a list; wanted is one image"),
        ({"effect_scene": "hug_pro", "images": URL}, "images is a text; wanted is a list"),
        ({"effect_scene": "pet_lion_pro", "image": 7}, "image is a int; wanted is one image: a URL, a path"),
        ({"effect_scene": "pet_lion_pro", "image": "/no/such.jpg"}, "/no/such.jpg"),
        ({"request": REQUEST, "image": URL}, "wanted is one or the other"),
        ({"request": "pet_lion_pro", "external_task_id": "x"}, "The request is a text"),
    ],
)
@pytest.mark.parametrize("method", ["create_task", "create_task_when_free"])
def test_what_cannot_work_is_refused_before_anything_is_sent(hook, kling, method, arguments, text):
    with pytest.raises(errors.KlingInputError, match=text):
        getattr(hook, method)(**arguments)
    assert kling.journal == []


@pytest.mark.kling_emulator(slots=1, manual_clock=True)
def test_a_task_is_created_as_soon_as_a_slot_is_free(hook, kling):
    first = hook.create_task_when_free(REQUEST, external_task_id="first")
    with pytest.raises(errors.KlingSlotsFullError):
        hook.create_task(REQUEST)
    waited = threading.Event()

    def free_the_slot():
        while not kling.state["answers"].get("create 1303", 0) >= 2:
            time.sleep(0.05)
        waited.set()
        kling.finish()

    freeing = threading.Thread(target=free_the_slot)
    freeing.start()
    second = hook.create_task_when_free(effect_scene="pet_lion_pro", image=URL, timeout=timedelta(seconds=60))
    freeing.join()
    assert waited.is_set()
    assert second.kling_task_id != first.kling_task_id
    assert len(kling.ledger) == 2


@pytest.mark.kling_emulator(slots=1, manual_clock=True)
def test_without_a_slot_it_ends_at_its_timeout_and_says_that_nothing_was_paid(hook, kling):
    hook.create_task(REQUEST)
    with pytest.raises(errors.KlingTimeoutError, match="Nothing was made, nothing was paid"):
        hook.create_task_when_free(REQUEST, timeout=timedelta(seconds=0.5))
    assert len(kling.ledger) == 1


@pytest.mark.parametrize("span", [0, -1, "10", True, timedelta(0), float("nan")])
def test_a_wrong_span_of_time_is_refused(hook, kling, tmp_path, span):
    for call in (
        lambda: hook.create_task_when_free(REQUEST, timeout=span),
        lambda: hook.wait_for_task("1", timeout=span),
        lambda: hook.wait_for_task("1", poll_interval=span),
    ):
        with pytest.raises(errors.KlingInputError, match="wanted is a positive number of seconds, or a timedelta"):
            call()
    assert kling.journal == []


# --- Videos


@pytest.mark.kling_emulator(manual_clock=True)
def test_only_a_succeeded_task_has_videos_to_save(hook, kling, tmp_path):
    task = hook.create_task(REQUEST)
    with pytest.raises(errors.KlingInputError, match=r"is not done \(submitted\), so it has no videos yet: call wait_for_task"):
        hook.save_videos(task, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_videos_of_a_failed_task_cannot_be_saved(hook, kling, tmp_path):
    task = hook.create_task(effect_scene="pet_lion_pro", image="https://example.com/risk.jpg")
    failed = hook.wait_for_task(task.kling_task_id, timeout=30, poll_interval=0.1)
    with pytest.raises(errors.KlingTaskFailed, match="It has no videos"):
        hook.save_videos(failed, tmp_path)


def test_videos_that_the_task_at_hand_leaves_out_are_looked_up_and_saved_in_any_kind_of_path(hook, kling, tmp_path):
    task = hook.create_task(REQUEST)
    done = hook.wait_for_task(task.kling_task_id, timeout=30, poll_interval=0.1)
    lean = replace(done, videos=())
    for folder in (tmp_path / "a", ObjectStoragePath(f"file://{tmp_path}/b")):
        (path,) = hook.save_videos(lean, folder, timeout=timedelta(minutes=1))
        assert Path(path.removeprefix("file://")).name == f"{task.kling_task_id}.mp4"
        assert Path(path.removeprefix("file://")).read_bytes()[4:8] == b"ftyp"


def test_a_flow_without_a_step_returns_its_result(hook, kling):
    def nothing():
        return "done"
        yield

    assert hook.run(nothing()) == "done"
    assert kling.journal == []
