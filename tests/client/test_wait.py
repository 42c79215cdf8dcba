"""Waits over HTTP: passing faults, deadlines, and the errors that end a wait."""

from __future__ import annotations

import pytest
from hook_calls import REQUEST

from airflow_provider_kling import errors


@pytest.mark.kling_emulator(duration=0)
def test_passing_faults_do_not_fail_a_wait(hook, kling):
    task = hook.create_task(REQUEST)
    kling.fault(5000, on="get", times=7)
    assert hook.wait_for_task(task.kling_task_id, timeout=60, poll_interval=0.05).succeeded


@pytest.mark.kling_emulator(duration=600)
def test_a_timeout_says_that_the_task_goes_on(hook, kling):
    task = hook.create_task(REQUEST)
    with pytest.raises(errors.KlingTimeoutError, match=f"Kling task {task.kling_task_id} is not done.*goes on at Kling"):
        hook.wait_for_task(task.kling_task_id, timeout=0.2, poll_interval=0.05)


@pytest.mark.kling_emulator(duration=600)
def test_refused_credentials_end_a_wait_at_once(hook, kling):
    task = hook.create_task(REQUEST)
    kling.fault(1002, on="get", times=None)
    with pytest.raises(errors.KlingAuthError):
        hook.wait_for_task(task.kling_task_id, timeout=600, poll_interval=60)


@pytest.mark.kling_emulator(duration=600)
def test_a_task_that_vanished_ends_a_wait_after_three_polls(hook, kling):
    task = hook.create_task(REQUEST)
    kling.forget(task.kling_task_id)
    with pytest.raises(errors.KlingTaskNotFound, match="Check the id"):
        hook.wait_for_task(task.kling_task_id, timeout=600, poll_interval=0.05)
    assert len(kling.requests("get")) == 3


@pytest.mark.kling_emulator(duration=600)
def test_an_unknown_status_is_waited_out_and_named_at_the_deadline(hook, kling):
    task = hook.create_task(REQUEST)
    kling.show_status(task.kling_task_id, "pondering")
    with pytest.raises(errors.KlingTimeoutError, match="last seen: pondering"):
        hook.wait_for_task(task.kling_task_id, timeout=0.2, poll_interval=0.05)
