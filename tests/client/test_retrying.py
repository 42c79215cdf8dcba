"""How a call is repeated: the error of each code, new tokens, and passing faults of reads."""

from __future__ import annotations

import pytest
from hook_calls import REQUEST, Caller

from airflow_provider_kling import errors
from airflow_provider_kling.api import CODES
from airflow_provider_kling.hooks import KlingHook

# --- Error codes, at create and at query


@pytest.mark.parametrize("kind", ["create", "get"])
@pytest.mark.parametrize("number", [number for number in CODES if number not in (1003, 1004)])
def test_each_error_code_raises_its_error(hook, kling, number, kind):
    code = CODES[number]
    kling.fault(number, on=kind, times=None)
    with pytest.raises(code.error) as caught:
        hook.create_task(REQUEST) if kind == "create" else hook.get_task("1")
    error = caught.value
    assert error.code == number
    assert error.http_status == code.http_status
    assert error.request_id
    assert error.retryable == code.retryable
    assert code.advice in str(error)
    assert kling.ledger == []


# --- Tokens


@pytest.mark.parametrize("kind", ["create", "get"])
@pytest.mark.parametrize("number", [1003, 1004])
def test_a_token_with_an_invalid_time_is_renewed_once_and_then_the_error_names_the_clock(kling, monkeypatch, number, kind):
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection("access_key"))
    for mode in ("sync", "async"):
        before = len(kling.journal)
        kling.fault(number, on=kind, times=None)
        hook = Caller(mode)
        with pytest.raises(errors.KlingAuthError, match=r"newly signed token was refused as well; this machine's clock is \d+ s"):
            hook.create_task(REQUEST) if kind == "create" else hook.get_task("1")
        hook.hook.close()
        assert len(kling.journal) - before == 2
        kling.clear_faults()


@pytest.mark.parametrize("number", [1003, 1004])
def test_a_call_succeeds_with_a_new_token_after_the_old_one_was_refused(kling, monkeypatch, number):
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection("access_key"))
    for mode in ("sync", "async"):
        kling.fault(number, on="create", times=1)
        hook = Caller(mode)
        assert hook.create_task(REQUEST).status == "submitted"
        hook.hook.close()
    assert len(kling.ledger) == 2


@pytest.mark.kling_emulator(skew=-3600)
def test_the_error_names_the_difference_between_the_clocks(kling, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection("access_key"))
    with KlingHook() as hook, pytest.raises(errors.KlingAuthError, match=r"clock is 3\d{3} s ahead of the server's"):
        hook.list_tasks()


def test_an_api_key_is_not_sent_again_after_a_time_error(hook, kling):
    kling.fault(1004, on="get", times=None)
    with pytest.raises(errors.KlingAuthError):
        hook.get_task("1")
    assert len(kling.requests("get")) == 1


# --- Passing faults of reads


@pytest.mark.parametrize("fault", [5000, 5001, 5002, 1302, "html", "empty", "cut", "drop"])
def test_a_read_is_repeated_after_a_passing_fault(hook, kling, fault):
    kling.fault(fault, on="list", times=2)
    assert hook.list_tasks() == []
    assert len(kling.requests("list")) == 3


def test_a_read_fails_after_five_tries(hook, kling):
    kling.fault(5000, on="list", times=None)
    with pytest.raises(errors.KlingServerError):
        hook.list_tasks()
    assert len(kling.requests("list")) == 5


def test_a_read_waits_as_long_as_the_server_asks(kling):
    kling.fault(1302, on="list", times=1, retry_after=1)
    with KlingHook(retry_wait=0) as hook:
        hook.list_tasks()
    first, second = kling.requests("list")
    assert second["time"] - first["time"] >= 1
