"""A refusal of the content control, from the account to the one who asked: at the create and at the end of the task."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from task_runs import FakeAirflow, operator

from airflow_provider_kling.api import EffectRequest, error_kind
from airflow_provider_kling.errors import KlingModerationError, KlingPolicyError, KlingTaskFailed, KlingTaskModerated
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.results import result_of

GOOD, BAD = "https://example.com/good.jpg", "https://example.com/forbidden.jpg"
TWO = EffectRequest("kiss_pro", [GOOD, BAD])


@pytest.mark.kling_emulator(moderated_image=("forbidden",), moderation_names_image=True)
def test_a_refused_create_says_which_image_is_meant(hook, kling):
    with pytest.raises(KlingPolicyError, match="Refused is image 2 of 2") as caught:
        hook.create_task(TWO)
    assert (caught.value.code, caught.value.refused_image, error_kind(caught.value)) == (1301, 2, "moderation")
    assert kling.ledger == []
    assert len(kling.requests("create")) == 1  # it is not sent again


@pytest.mark.kling_emulator(moderated_image=("forbidden",), moderation_code=1300)
def test_without_a_word_of_kling_one_of_two_images_is_not_blamed(hook, kling):
    with pytest.raises(KlingModerationError) as caught:
        hook.create_task(TWO)
    assert caught.value.refused_image is None
    with pytest.raises(KlingModerationError) as caught:
        hook.create_task(effect_scene="squish", image=BAD)
    assert caught.value.refused_image == 1


@pytest.mark.kling_emulator(risky_image=("forbidden",), duration=0)
def test_a_task_that_fails_in_the_risk_control_is_one_too(hook, kling, tmp_path):
    task = hook.wait_for_task(hook.create_task(effect_scene="squish", image=BAD).kling_task_id, poll_interval=0.05)
    for read in (lambda: result_of(task, effect_scene="squish"), lambda: hook.save_videos(task, str(tmp_path))):
        with pytest.raises(KlingModerationError, match="risk control") as caught:
            read()
        assert isinstance(caught.value, KlingTaskFailed)
        assert (type(caught.value), caught.value.input_fault, error_kind(caught.value)) == (KlingTaskModerated, True, "moderation")
    with pytest.raises(KlingTaskModerated) as caught:
        result_of(task, effect_scene="squish")
    assert caught.value.refused_image == 1
    with pytest.raises(KlingTaskModerated) as caught:
        result_of(task, effect_scene=None)
    assert caught.value.refused_image is None


@pytest.mark.kling_emulator(moderated_scene=("squish",), risky_scene=("emoji",), duration=0)
@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
@pytest.mark.parametrize("scene", ["squish", "emoji"])
def test_an_airflow_task_fails_without_a_retry_and_keeps_the_error(kling, scene, deferrable):
    airflow = FakeAirflow(max_tries=3)
    run = airflow.finish(operator(effect_scene=scene, image=BAD, deferrable=deferrable, wait_for_completion=True))
    assert run.state == "failed"
    assert isinstance(run.error, AirflowFailException)
    assert isinstance(run.error.__cause__, KlingModerationError)
    assert (error_kind(run.error), run.error.__cause__.refused_image) == ("moderation", 1)
    assert len(kling.ledger) == (scene == "emoji")


def test_the_next_row_is_not_concerned(kling):
    kling.configure(moderated_image=("forbidden",))
    with KlingHook() as hook:
        with pytest.raises(KlingModerationError) as caught:
            hook.create_task(effect_scene="squish", image=BAD)
        assert not caught.value.stops_account
        assert hook.create_task(effect_scene="squish", image=GOOD).kling_task_id
