"""The hook's calls end in time, whatever the server does, and whatever happens to the wall clock."""

from __future__ import annotations

import asyncio
import faulthandler
import json
import time

import pytest
from hook_calls import REQUEST
from hostile import HostileKling, hang, status, trickle

from airflow_provider_kling import errors
from airflow_provider_kling.hooks import KlingHook

RETRY_AFTERS = ["86400", "999999999999", "-5", "nan", "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"]
MODES = pytest.mark.parametrize("mode", ["sync", "async"])


@pytest.fixture
def account(monkeypatch):
    with HostileKling(seconds=600) as account:
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", account.connection(timeout=30))
        yield account


@pytest.fixture(autouse=True)
def in_time():
    """Ends a run that still waits long after its deadlines."""
    faulthandler.dump_traceback_later(60, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def wait(mode: str, kling_task_id: str, *, timeout: float) -> None:
    with KlingHook(retry_wait=0.01) as hook:
        if mode == "sync":
            hook.wait_for_task(kling_task_id, timeout=timeout, poll_interval=0.1)
        else:
            asyncio.run(hook.await_for_task(kling_task_id, timeout=timeout, poll_interval=0.1))


@MODES
@pytest.mark.parametrize("answer", [trickle(0.2), hang], ids=["trickles", "hangs"])
def test_a_wait_ends_at_its_timeout_though_an_answer_does_not(account, mode, answer):
    with KlingHook() as hook:
        task = hook.create_task(REQUEST)
    for kind in ("get", "list"):
        account.answer(kind, answer)
    with pytest.raises(errors.KlingTimeoutError, match="goes on at Kling and will be charged"):
        wait(mode, task.kling_task_id, timeout=0.5)


@MODES
@pytest.mark.parametrize("asked", RETRY_AFTERS)
def test_a_wait_ends_at_its_timeout_however_long_a_server_asks_to_wait(account, mode, asked):
    with KlingHook() as hook:
        task = hook.create_task(REQUEST)
    for kind in ("get", "list"):
        account.answer(kind, status(429, code=1302, message="Too many requests", Retry_After=asked))
    with pytest.raises(errors.KlingTimeoutError):
        wait(mode, task.kling_task_id, timeout=0.5)


@pytest.mark.parametrize("asked", ["86400", "Fri, 31 Dec 9999 23:59:59 GMT", "-5"])
@pytest.mark.parametrize("call", ["get_task", "find_task", "list_tasks", "create_task"])
def test_a_call_without_a_deadline_ends_too(account, call, asked):
    for kind in ("get", "list", "create"):
        account.answer(kind, status(503, code=5001, message="oops", Retry_After=asked))
    argument = {"create_task": REQUEST, "list_tasks": 1}.get(call, "1")
    with KlingHook(retry_wait=0.01) as hook, pytest.raises(errors.KlingServerError):
        getattr(hook, call)(argument)


@MODES
def test_a_wait_goes_on_though_the_wall_clock_is_set_back(account, monkeypatch, mode):
    account.seconds = 1.0
    with KlingHook() as hook:
        task = hook.create_task(REQUEST)
    real = time.time
    begun = real()
    # The hour is missing as soon as the wait has begun. The server of this test counts with it, too.
    account.ledger[0].ends_at -= 3600.0
    account.answer("get", _sets_the_clock_back(monkeypatch, real), times=1)
    account.answer("list", _sets_the_clock_back(monkeypatch, real), times=1)
    wait(mode, task.kling_task_id, timeout=30)
    assert real() - begun < 30


def _sets_the_clock_back(monkeypatch, real):
    def answer(exchange):
        monkeypatch.setattr(time, "time", lambda: real() - 3600.0)
        exchange.good = exchange.good.replace(b'"succeed"', b'"processing"')
        exchange.respond(exchange.status, exchange.good)

    return answer


def test_the_token_of_another_service_is_not_sent_to_kling(account, monkeypatch):
    slack = json.loads(account.connection()) | {"conn_type": "slack", "password": "xoxb-slack-token"}
    monkeypatch.setenv("AIRFLOW_CONN_SLACK_DEFAULT", json.dumps(slack))
    with KlingHook("slack_default") as hook:
        with pytest.raises(errors.KlingSettingsError, match=r"Connection 'slack_default': its type is 'slack'; wanted is 'kling'"):
            hook.list_tasks()
        works, text = hook.test_connection()
    assert not works
    assert "xoxb" not in text
    assert account.requests == []
