"""Creates over HTTP: lost responses, refusals, existing tasks and the next id."""

from __future__ import annotations

import json

import pytest
from hook_calls import REQUEST, Caller

from airflow_provider_kling import errors

# The fault, and whether the create has taken effect before it.
RESPONSE_LOST = [("drop", True), ("cut", True), (5000, True), (5002, True), ("html", True), ("empty", True)]

NOTHING_CREATED = [("drop", False), (5000, False), (5001, False), ("html", False)]


@pytest.mark.parametrize(("fault", "after"), RESPONSE_LOST, ids=str)
def test_a_lost_response_does_not_pay_twice(hook, kling, fault, after):
    kling.fault(fault, on="create", after=after, times=1)
    task = hook.create_task(REQUEST, external_task_id="submission")
    assert [row["kling_task_id"] for row in kling.ledger] == [task.kling_task_id]
    assert [row["kind"] for row in kling.journal] == ["create", "get"]


@pytest.mark.parametrize(("fault", "after"), NOTHING_CREATED, ids=str)
def test_a_create_without_effect_is_sent_again_after_a_lookup(hook, kling, fault, after):
    kling.fault(fault, on="create", after=after, times=1)
    task = hook.create_task(REQUEST, external_task_id="submission")
    assert [row["kling_task_id"] for row in kling.ledger] == [task.kling_task_id]
    assert [row["kind"] for row in kling.journal] == ["create", "get", "create"]


def test_a_response_after_the_timeout_does_not_pay_twice(kling, monkeypatch):
    connection = json.loads(kling.connection()) | {"extra": {"timeout": 0.5}}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(connection))
    for mode in ("sync", "async"):
        kling.reset()
        kling.fault("slow", on="create", after=True, times=1, seconds=3)
        caller = Caller(mode)
        task = caller.create_task(REQUEST, external_task_id="submission")
        caller.hook.close()
        assert [row["kling_task_id"] for row in kling.ledger] == [task.kling_task_id]


@pytest.mark.kling_emulator(slots=1, duration=600)
def test_a_create_without_a_free_slot_raises_its_own_error_and_creates_nothing(hook, kling):
    hook.create_task(REQUEST)
    with pytest.raises(errors.KlingSlotsFullError, match="parallel task over resource pack limit"):
        hook.create_task(REQUEST)
    assert len(kling.ledger) == 1
    assert len(kling.requests("create")) == 2


def test_a_task_that_already_exists_is_adopted(hook, kling):
    first = hook.create_task(REQUEST, external_task_id="submission")
    again = hook.create_task(REQUEST, external_task_id="submission")
    assert again.kling_task_id == first.kling_task_id
    assert len(kling.ledger) == 1


def test_adopt_existing_sends_no_create_for_an_existing_task(hook, kling):
    first = hook.create_task(REQUEST, external_task_id="submission")
    assert hook.create_task(REQUEST, external_task_id="submission", adopt_existing=True).kling_task_id == first.kling_task_id
    assert len(kling.requests("create")) == 1


@pytest.mark.kling_emulator(duration=0)
def test_the_next_id_is_used_if_the_task_of_the_first_failed(hook, kling):
    kling.fail_next("Image pixel is invalid")
    failed = hook.create_task(REQUEST, external_task_id="submission")
    assert hook.get_task(failed.kling_task_id).failed
    for adopt_existing in (False, True):
        again = hook.create_task(REQUEST, external_task_id="submission", adopt_existing=adopt_existing)
        assert again.external_task_id == "submission-2"
    assert [row["external_task_id"] for row in kling.ledger] == ["submission", "submission-2"]


def test_if_the_lookup_fails_too_the_error_says_that_a_task_may_exist(hook, kling):
    kling.fault("drop", on="create", after=True, times=1)
    kling.fault(5001, on="get", times=None)
    with pytest.raises(errors.KlingServerError) as caught:
        hook.create_task(REQUEST, external_task_id="submission")
    assert caught.value.outcome_unknown
    kling.clear_faults()
    assert hook.create_task(REQUEST, external_task_id="submission", adopt_existing=True).external_task_id == "submission"
    assert len(kling.ledger) == 1
