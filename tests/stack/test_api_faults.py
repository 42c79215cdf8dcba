"""Faults of Kling's API: each request is still paid for once, and each row gets a result.

All tests here run in parallel, each with a Kling account of its own; see `parallel`.
"""

from __future__ import annotations

from collections import Counter

from account import Account
from airflow_api import Run
from parallel import in_parallel, wait_seconds

OUTAGE = 60  # seconds that a fault lasts
PATIENCE = 400  # seconds; all tests share two cores


def until_created(run: Run, account: Account, count: int) -> None:
    run.until(f"{count} tasks exist", lambda: len(account.kling.ledger) >= count, timeout=PATIENCE)


def until_waiting(run: Run, account: Account, count: int) -> None:
    """Until this many task instances are deferred and wait for their Kling tasks."""
    until_created(run, account, count)
    run.until(f"{count} are deferred", lambda: run.count("video", "deferred") >= count, timeout=PATIENCE)


def until_polled(run: Run, account: Account, times: int) -> None:
    """Until Kling has received this many further polls, for the list or for a single task."""
    since = len(account.kling.journal)
    polls = lambda: sum(request["kind"] in ("get", "list") for request in account.kling.journal[since:])  # noqa: E731
    run.until(f"Kling receives {times} polls", lambda: polls() >= times, timeout=PATIENCE)


def until_done(run: Run) -> str:
    return run.until_done(timeout=PATIENCE)


def try_numbers(run: Run, task_id: str = "video") -> set[int]:
    return {instance["try_number"] for instance in run.instances(task_id)}


def response_codes(account: Account, kind: str = "create") -> Counter[int | None]:
    """How often Kling answered requests of one kind with each code."""
    return Counter(request["code"] for request in account.kling.requests(kind))


def errors(account: Account) -> dict[str, str]:
    """The errors in the results by row id."""
    return {line["id"]: line["error"] for line in account.results if line["error"]}


# --- The API is unreachable


@in_parallel(duration=2)
def test_connections_refused_for_a_minute_are_waited_out(account, rows):
    with account.through_proxy() as proxy:
        run = account.run_dag("in_triggerer", rows)
        until_created(run, account, 3)
        proxy.close()
        wait_seconds(OUTAGE)
        proxy.open()
        assert until_done(run) == "success"
    account.check("connections refused for a minute")


@in_parallel(duration=600)
def test_an_api_that_never_answers_for_a_minute_is_waited_out(account, rows):
    with account.through_proxy(timeout=3) as proxy:
        run = account.run_dag("in_triggerer", rows)
        until_waiting(run, account, rows)
        proxy.silence()
        account.kling.finish()
        wait_seconds(OUTAGE)
        proxy.open()
        assert until_done(run) == "success"
    account.check("no answer at all for a minute")


@in_parallel(duration=2)
def test_an_api_that_drops_connections_for_a_minute_is_waited_out(account, rows):
    account.kling.fault("drop", times=None)
    run = account.run_dag("create_and_wait", rows)
    run.until("Kling receives a request", lambda: account.kling.journal, timeout=PATIENCE)
    wait_seconds(OUTAGE)
    account.kling.clear_faults()
    assert until_done(run) == "success"
    account.check("connections dropped for a minute")


# --- Invalid responses


@in_parallel()
def test_many_gateway_errors_pay_nothing_twice(account, rows):
    for status in (502, 503, 504):
        account.kling.fault(status, rate=0.15, times=None, after=status == 504)
    assert until_done(account.run_dag("create_and_wait", rows)) == "success"
    assert any(one["fault"] in ("502", "503", "504") for one in account.kling.journal)
    account.check("HTTP 502, 503, 504 on 4 of 10 requests")


@in_parallel()
def test_many_server_errors_pay_nothing_twice(account, rows):
    for code in (5000, 5001, 5002):
        account.kling.fault(code, rate=0.15, times=None, after=code == 5002)
    assert until_done(account.run_dag("in_triggerer", rows)) == "success"
    assert any(one["fault"] in ("5000", "5001", "5002") for one in account.kling.journal)
    account.check("codes 5000, 5001, 5002 on 4 of 10 requests")


@in_parallel()
def test_lost_responses_to_creates_pay_nothing_twice_and_use_no_retry(account, rows):
    account.kling.fault("drop", on="create", after=True, times=None)
    account.kling.fault("drop", on="get", rate=0.4, times=None)
    assert until_done(account.run_dag("in_triggerer_once", rows)) == "success"
    account.check("each response to a create lost, and to 4 of 10 polls")


@in_parallel()
def test_truncated_responses_pay_nothing_twice(account, rows):
    account.kling.fault("cut", on="create", rate=0.5, times=None)
    account.kling.fault("cut", on="GET", rate=0.3, times=None)
    assert until_done(account.run_dag("create_and_wait", rows)) == "success"
    assert any(one["fault"] == "cut" for one in account.kling.requests("create"))
    account.check("responses cut in half")


@in_parallel()
def test_html_and_empty_responses_with_status_200_pay_nothing_twice(account, rows):
    account.kling.fault("html", rate=0.25, times=None, after=True)
    account.kling.fault("empty", rate=0.2, times=None, after=True)
    assert until_done(account.run_dag("on_worker", rows)) == "success"
    account.check("HTTP 200 with HTML or nothing, on a worker")


@in_parallel(extra={"timeout": 1})
def test_tasks_created_after_their_request_timed_out_are_not_created_twice(account, rows):
    account.kling.fault("slow", on="create", seconds=4, times=None)
    run = account.run_dag("in_triggerer", rows)
    assert until_done(run) == "success"
    assert all(one["fault"] == "slow" for one in account.kling.requests("create"))
    account.check("creates that time out and take effect later")


# --- Kling asks to wait


@in_parallel(slots=5, duration=2)
def test_a_minute_without_a_slot_uses_no_retry(account, rows):
    account.kling.occupy(5)
    run = account.run_dag("create_and_wait", rows)
    run.until("all wait for a slot", lambda: run.count("video.create", "deferred") >= rows, timeout=PATIENCE)
    wait_seconds(OUTAGE)
    assert not account.kling.ledger
    account.kling.occupy(0)
    assert until_done(run) == "success"
    assert try_numbers(run, "video.create") == try_numbers(run, "video.wait") == {1}
    assert max(used for _, used in account.kling.slot_use) <= 5
    account.check("1303 for a minute, then 5 slots")


@in_parallel()
def test_bursts_of_too_many_requests_use_no_retry(account, rows):
    account.kling.fault(1302, on="create", times=2 * rows, rate=0.8, retry_after=1)
    account.kling.fault(1302, on="GET", times=2 * rows, rate=0.5)
    run = account.run_dag("create_and_wait", rows)
    assert until_done(run) == "success"
    assert response_codes(account)[1302] >= rows
    assert try_numbers(run, "video.create") == {1}
    account.check("bursts of 1302")


# --- Credentials and clocks


@in_parallel(auth="access_key", skew=1790, duration=25)
def test_a_token_that_expires_while_tasks_wait_is_replaced(account, rows):
    """A token is valid for 1800 s by this machine's clock. A server whose clock is 1790 s ahead accepts it for 10 s."""
    run = account.run_dag("in_triggerer", rows)
    assert until_done(run) == "success"
    assert any(one["code"] == 1004 for one in account.kling.journal)
    assert try_numbers(run) == {1}
    account.check("token expires while tasks wait (1004)")


@in_parallel(auth="access_key")
def test_a_token_that_is_not_yet_valid_is_replaced(account):
    account.kling.fault("token", code=1003, on="create")
    account.kling.fault("token", code=1003, on="get")
    run = account.run_dag("create_and_wait", 2)
    assert until_done(run) == "success"
    assert response_codes(account)[1003] == 1
    assert try_numbers(run, "video.create") == {1}
    account.check("token refused once (1003)")


@in_parallel(auth="access_key", skew=-3, duration=600)
def test_a_small_clock_error_does_no_harm(account):
    run = account.run_dag("in_triggerer", 2)
    until_waiting(run, account, 2)
    account.kling.configure(skew=1600)
    until_polled(run, account, 2)
    account.kling.finish()
    assert until_done(run) == "success"
    assert all(one["code"] not in (1003, 1004) for one in account.kling.journal)
    account.check("clock 3 s ahead, then 27 min behind")


@in_parallel(auth="access_key", skew=7200)
def test_a_large_clock_error_fails_at_once_reports_its_size_and_costs_nothing(account):
    run = account.run_dag("in_triggerer", 2)
    until_done(run)
    for error in errors(account).values():
        assert "this machine's clock is 7200 s behind the server's" in error or "clock is 7199 s behind" in error
    assert len(errors(account)) == 2
    assert try_numbers(run) == {1}

    account.kling.configure(skew=-60)
    run.clear()
    until_done(run)
    assert len(errors(account)) == 2
    assert all("s ahead of the server's" in error for error in errors(account).values())
    assert not account.kling.ledger

    account.kling.configure(skew=0)
    run.clear()
    assert until_done(run) == "success"
    account.check("clock 2 h behind, 1 min ahead, then corrected and cleared")


@in_parallel(duration=600)
def test_keys_revoked_while_tasks_wait_fail_at_once_and_a_clear_adopts_the_tasks(account, rows):
    run = account.run_dag("in_triggerer", rows)
    until_waiting(run, account, rows)
    account.kling.configure(api_key=["another-key"])
    until_done(run)
    assert len(errors(account)) == rows
    assert all("Check the keys of the Airflow connection" in error for error in errors(account).values())
    assert try_numbers(run) == {1}
    assert "is not cancelled. Once the problem is solved, run this again to adopt its result." in run.log("video", map_index=0)

    account.kling.configure(api_key=[account.kling.api_key])
    account.kling.finish()
    run.clear()
    assert until_done(run) == "success"
    account.check("keys revoked while tasks wait, then restored and cleared")


# --- Tasks that vanish or never end


@in_parallel(duration=600)
def test_a_task_that_vanishes_is_reported_and_no_retry_pays_for_another(account):
    run = account.run_dag("in_triggerer", 3)
    until_waiting(run, account, 3)
    vanished = account.kling.ledger[0]["kling_task_id"]
    account.kling.forget(vanished)
    until_polled(run, account, 10)
    account.kling.finish()
    until_done(run)
    (row,) = errors(account)
    assert f"no task has the id {vanished}" in errors(account)[row]
    assert try_numbers(run) == {1}
    account.check("a task that vanishes", rows_without_video={row})

    # Kling no longer knows the task, not even its external id: a clear creates another one.
    run.clear("video")
    until_created(run, account, 4)
    account.kling.finish()
    assert until_done(run) == "success"
    assert len(account.kling.ledger) == 4
    assert not errors(account)


@in_parallel(duration=2)
def test_an_unknown_status_is_waited_out(account, rows):
    account.kling.plan(status="reviewing", times=None)
    run = account.run_dag("in_triggerer", rows)
    until_waiting(run, account, rows)
    until_polled(run, account, 9)
    assert run.count("video", "deferred") == rows
    for task in account.kling.ledger:
        account.kling.show_status(task["kling_task_id"], None)
    assert until_done(run) == "success"
    account.check("an unknown status for a while")


@in_parallel(duration=2)
def test_a_status_that_stays_unknown_is_reported_and_a_clear_adopts_the_task(account):
    account.kling.plan(status="reviewing", times=None)
    run = account.run_dag("impatient", 2)
    until_done(run)
    kling_task_ids = {task["kling_task_id"] for task in account.kling.ledger}
    assert len(errors(account)) == 2
    for error in errors(account).values():
        assert "reviewing" in error
        assert any(kling_task_id in error for kling_task_id in kling_task_ids)

    for kling_task_id in kling_task_ids:
        account.kling.show_status(kling_task_id, None)
    run.clear()
    assert until_done(run) == "success"
    account.check("an unknown status until the timeout, then cleared")


@in_parallel()
def test_a_timeout_reports_that_the_task_still_runs_and_a_clear_adopts_it(account):
    account.kling.plan(never=True, times=None)
    run = account.run_dag("impatient", 3)
    until_done(run)
    kling_task_ids = [task["kling_task_id"] for task in account.kling.ledger]
    assert len(errors(account)) == 3
    for error in errors(account).values():
        assert any(f"Kling task {kling_task_id} is not done after" in error for kling_task_id in kling_task_ids)
        assert "It goes on at Kling and will be charged" in error

    account.kling.finish()
    run.clear()
    assert until_done(run) == "success"
    account.check("a task that does not end until the timeout, then cleared")


# --- Tasks that fail


@in_parallel(duration=600)
def test_a_retry_of_a_failed_task_uses_the_next_external_id(account, rows):
    run = account.run_dag("in_triggerer", rows)
    until_waiting(run, account, rows)
    for task in account.kling.ledger[: rows // 2]:
        account.kling.fail(task["kling_task_id"], "Internal error")
    until_created(run, account, rows + rows // 2)
    account.kling.finish()
    assert until_done(run) == "success"
    assert sum(task["external_task_id"].endswith("-2") for task in account.kling.ledger) == rows // 2
    assert try_numbers(run) == {1, 2}
    account.check("tasks that fail at Kling, retried", failed_tasks=rows // 2)


@in_parallel(duration=600)
def test_an_image_that_cannot_work_is_tried_again_only_by_a_clear(account):
    run = account.run_dag("in_triggerer", 2)
    until_waiting(run, account, 2)
    account.kling.fail(account.kling.ledger[0]["kling_task_id"], "Image pixel is invalid")
    account.kling.finish()
    until_done(run)
    (row,) = errors(account)
    assert "Image pixel is invalid" in errors(account)[row]
    assert len(account.kling.ledger) == 2
    assert try_numbers(run) == {1}

    run.clear("video")
    until_created(run, account, 3)
    account.kling.finish()
    assert until_done(run) == "success"
    account.check("an image that fails at Kling, then cleared", failed_tasks=1)


@in_parallel(duration=600)
def test_a_sensor_creates_no_other_task_but_a_clear_of_the_run_does(account):
    run = account.run_dag("create_and_wait", 2)
    # Not before the operator is done: if its trigger started again after the failure, it would create another task.
    run.until("both tasks are created", lambda: run.count("video.create", "success") == 2, timeout=PATIENCE)
    account.kling.fail(account.kling.ledger[0]["kling_task_id"], "Internal error")
    account.kling.finish()
    until_done(run)
    (row,) = errors(account)
    assert "Internal error" in errors(account)[row]
    assert len(account.kling.ledger) == 2
    assert try_numbers(run, "video.wait") == {1}

    run.clear()
    until_created(run, account, 3)
    account.kling.finish()
    assert until_done(run) == "success"
    assert sum(task["external_task_id"].endswith("-2") for task in account.kling.ledger) == 1
    account.check("a task that fails under a sensor, then the run cleared", failed_tasks=1)
