"""Settings of a connection that take effect when a call is sent."""

from __future__ import annotations

import json

import pytest
from drivers import settings_of
from hook_calls import REQUEST

from airflow_provider_kling import errors


def test_a_base_url_may_have_a_path(hook, kling, monkeypatch):
    with_path = json.loads(kling.connection()) | {"host": f"{kling.url}/nowhere"}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(with_path))
    with pytest.raises(errors.KlingRequestError, match=r"Not Found: /nowhere/v1/videos/effects.*base URL"):
        hook.list_tasks()


@pytest.mark.kling_emulator(slots=10, duration=600)
def test_max_concurrency_limits_the_running_tasks(hook, kling, monkeypatch):
    fewer = json.loads(kling.connection()) | {"extra": {"max_concurrency": 2}}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(fewer))
    first = hook.create_task(REQUEST)
    hook.create_task(REQUEST)
    with pytest.raises(
        errors.KlingSlotsFullError, match="Connection kling_default says: max_concurrency is 2, and 2 tasks are running"
    ) as refused:
        hook.create_task(REQUEST)
    assert refused.value.own_limit
    kling.finish(first.kling_task_id)
    hook.create_task(REQUEST)
    assert len(kling.ledger) == 3
    assert kling.state["answers"].get("create 1303", 0) == 0


@pytest.mark.parametrize(
    ("value", "allowed"), [(True, True), ("true", True), (False, False), ("no", False), (None, False), ("", False)]
)
def test_private_links_are_allowed_by_the_connection(value, allowed):
    connection = {"conn_type": "kling", "password": "k", "host": None, "extra": {"allow_private_links": value}}
    assert settings_of(json.dumps(connection)).allow_private_links is allowed


@pytest.mark.parametrize("value", ["perhaps", 1, ["yes"]])
def test_private_links_are_allowed_by_true_or_false(value):
    connection = {"conn_type": "kling", "password": "k", "host": None, "extra": {"allow_private_links": value}}
    with pytest.raises(errors.KlingSettingsError, match=r"allow_private_links is .*; wanted is true or false"):
        settings_of(json.dumps(connection))
