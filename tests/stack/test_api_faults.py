"""Whatever Kling's API does or fails to do: one paid task for each submission, and a word for each row.

All of these are played at once, each on a Kling account of its own; see `together`.
"""

from __future__ import annotations

from collections import Counter

from airflow_api import Run
from submissions import Account
from together import at_once, during

LASTING = 60  # seconds for which a fault goes on
PATIENCE = 400  # seconds; all of them share two processors


def until_made(run: Run, account: Account, count: int) -> None:
    run.until(f"{count} tasks are made", lambda: len(account.kling.ledger) >= count, timeout=PATIENCE)


def until_waiting(run: Run, account: Account, count: int) -> None:
    """Until so many wait for the end of their Kling task."""
    until_made(run, account, count)
    run.until(f"{count} wait", lambda: run.count("video", "deferred") >= count, timeout=PATIENCE)


def until_looked_at(run: Run, account: Account, times: int) -> None:
    """Until Kling has been asked so often from now on, for the list or for a single task."""
    since = len(account.kling.journal)
    looks = ("get", "list")
    run.until(
        "Kling is asked", lambda: sum(one["kind"] in looks for one in account.kling.journal[since:]) >= times, timeout=PATIENCE
    )


def done(run: Run) -> str:
    return run.until_done(timeout=PATIENCE)


def tries(run: Run, task_id: str = "video") -> set[int]:
    return {one["try_number"] for one in run.instances(task_id)}


def answers(account: Account, kind: str = "create") -> Counter[int | None]:
    """The codes of the answers to one kind of request."""
    return Counter(one["code"] for one in account.kling.requests(kind))


def errors(account: Account) -> dict[str, str]:
    return {line["id"]: line["error"] for line in account.results if line["error"]}


# --- The API is gone


@at_once(duration=2)
def test_connections_refused_for_a_minute_are_waited_out(account, wished):
    with account.detour() as way:
        run = account.submission("in_triggerer", wished)
        until_made(run, account, 3)
        way.close()
        during(LASTING)
        way.open()
        assert done(run) == "success"
    account.judge("connections refused for a minute")


@at_once(duration=600)
def test_an_api_that_takes_all_and_answers_nothing_for_a_minute_is_waited_out(account, wished):
    with account.detour(timeout=3) as way:
        run = account.submission("in_triggerer", wished)
        until_waiting(run, account, wished)
        way.silence()
        account.kling.finish()
        during(LASTING)
        way.open()
        assert done(run) == "success"
    account.judge("no answer at all for a minute")


@at_once(duration=2)
def test_an_api_that_hangs_up_for_a_minute_is_waited_out(account, wished):
    account.kling.fault("drop", times=None)
    run = account.submission("create_and_wait", wished)
    run.until("Kling is asked", lambda: account.kling.journal, timeout=PATIENCE)
    during(LASTING)
    account.kling.clear_faults()
    assert done(run) == "success"
    account.judge("connections dropped for a minute")


# --- Answers that are none


@at_once()
def test_a_storm_of_gateway_pages_costs_nothing_twice(account, wished):
    for status in (502, 503, 504):
        account.kling.fault(status, rate=0.15, times=None, after=status == 504)
    assert done(account.submission("create_and_wait", wished)) == "success"
    assert any(one["fault"] in ("502", "503", "504") for one in account.kling.journal)
    account.judge("HTTP 502, 503, 504 on 4 of 10 requests")


@at_once()
def test_a_storm_of_server_errors_costs_nothing_twice(account, wished):
    for code in (5000, 5001, 5002):
        account.kling.fault(code, rate=0.15, times=None, after=code == 5002)
    assert done(account.submission("in_triggerer", wished)) == "success"
    assert any(one["fault"] in ("5000", "5001", "5002") for one in account.kling.journal)
    account.judge("codes 5000, 5001, 5002 on 4 of 10 requests")


@at_once()
def test_lost_answers_to_creates_cost_nothing_twice_and_no_retry(account, wished):
    account.kling.fault("drop", on="create", after=True, times=None)
    account.kling.fault("drop", on="get", rate=0.4, times=None)
    assert done(account.submission("in_triggerer_once", wished)) == "success"
    account.judge("each answer to a create lost, and 4 of 10 looks")


@at_once()
def test_half_answers_cost_nothing_twice(account, wished):
    account.kling.fault("cut", on="create", rate=0.5, times=None)
    account.kling.fault("cut", on="GET", rate=0.3, times=None)
    assert done(account.submission("create_and_wait", wished)) == "success"
    assert any(one["fault"] == "cut" for one in account.kling.requests("create"))
    account.judge("answers cut in half")


@at_once()
def test_pages_and_empty_answers_that_claim_success_cost_nothing_twice(account, wished):
    account.kling.fault("html", rate=0.25, times=None, after=True)
    account.kling.fault("empty", rate=0.2, times=None, after=True)
    assert done(account.submission("on_worker", wished)) == "success"
    account.judge("HTTP 200 with HTML or nothing, on a worker")


@at_once(extra={"timeout": 1})
def test_tasks_made_long_after_their_create_timed_out_are_not_made_twice(account, wished):
    account.kling.fault("slow", on="create", seconds=4, times=None)
    run = account.submission("in_triggerer", wished)
    assert done(run) == "success"
    assert all(one["fault"] == "slow" for one in account.kling.requests("create"))
    account.judge("creates that time out and work later")


# --- Wait, says Kling


@at_once(slots=5, duration=2)
def test_a_minute_without_a_slot_uses_no_retry(account, wished):
    account.kling.occupy(5)
    run = account.submission("create_and_wait", wished)
    waiting = lambda: run.count("video.create", "deferred")  # noqa: E731
    run.until("all wait for a slot", lambda: waiting() >= wished, timeout=PATIENCE)
    during(LASTING)
    assert not account.kling.ledger
    account.kling.occupy(0)
    assert done(run) == "success"
    assert tries(run, "video.create") == tries(run, "video.wait") == {1}
    assert max(used for _, used in account.kling.slot_use) <= 5
    account.judge("1303 for a minute, then 5 slots")


@at_once()
def test_bursts_of_too_many_requests_use_no_retry(account, wished):
    account.kling.fault(1302, on="create", times=2 * wished, rate=0.8, retry_after=1)
    account.kling.fault(1302, on="GET", times=2 * wished, rate=0.5)
    run = account.submission("create_and_wait", wished)
    assert done(run) == "success"
    assert answers(account)[1302] >= wished
    assert tries(run, "video.create") == {1}
    account.judge("bursts of 1302")


# --- Credentials and clocks


@at_once(auth="access_key", skew=1790, duration=25)
def test_a_token_refused_in_the_middle_is_answered_with_a_new_one(account, wished):
    """A token lives for 1800 s by its clock; of a server that is 1790 s ahead it is taken for 10 s only."""
    run = account.submission("in_triggerer", wished)
    assert done(run) == "success"
    assert any(one["code"] == 1004 for one in account.kling.journal)
    assert tries(run) == {1}
    account.judge("token refused in the middle (1004)")


@at_once(auth="access_key")
def test_a_token_that_is_not_yet_valid_is_answered_with_a_new_one(account):
    account.kling.fault("token", code=1003, on="create")
    account.kling.fault("token", code=1003, on="get")
    run = account.submission("create_and_wait", 2)
    assert done(run) == "success"
    assert answers(account)[1003] == 1
    assert tries(run, "video.create") == {1}
    account.judge("token refused once (1003)")


@at_once(auth="access_key", skew=-3, duration=600)
def test_a_clock_that_is_a_little_wrong_does_no_harm(account):
    run = account.submission("in_triggerer", 2)
    until_waiting(run, account, 2)
    account.kling.configure(skew=1600)
    until_looked_at(run, account, 2)
    account.kling.finish()
    assert done(run) == "success"
    assert all(one["code"] not in (1003, 1004) for one in account.kling.journal)
    account.judge("clock 3 s ahead, then 27 min behind")


@at_once(auth="access_key", skew=7200)
def test_a_clock_that_is_very_wrong_ends_at_once_says_how_wrong_it_is_and_costs_nothing(account):
    run = account.submission("in_triggerer", 2)
    done(run)
    for error in errors(account).values():
        assert "this machine's clock is 7200 s behind the server's" in error or "clock is 7199 s behind" in error
    assert len(errors(account)) == 2
    assert tries(run) == {1}

    account.kling.configure(skew=-60)
    run.clear()
    done(run)
    assert len(errors(account)) == 2
    assert all("s ahead of the server's" in error for error in errors(account).values())
    assert not account.kling.ledger

    account.kling.configure(skew=0)
    run.clear()
    assert done(run) == "success"
    account.judge("clock 2 h behind, 1 min ahead, then mended and cleared")


@at_once(duration=600)
def test_keys_revoked_while_tasks_wait_end_it_at_once_and_a_clear_takes_the_tasks(account, wished):
    run = account.submission("in_triggerer", wished)
    until_waiting(run, account, wished)
    account.kling.configure(api_key=["another-key"])
    done(run)
    assert len(errors(account)) == wished
    assert all("Check the keys of the Airflow connection" in error for error in errors(account).values())
    assert tries(run) == {1}
    assert "goes on; once the trouble is mended, run this again to take its result." in run.log("video", map_index=0)

    account.kling.configure(api_key=[account.kling.api_key])
    account.kling.finish()
    run.clear()
    assert done(run) == "success"
    account.judge("keys revoked while tasks wait, then mended and cleared")


# --- Strange tasks


@at_once(duration=600)
def test_a_task_that_vanishes_is_said_to_be_lost_and_no_retry_pays_for_another(account):
    run = account.submission("in_triggerer", 3)
    until_waiting(run, account, 3)
    vanished = account.kling.ledger[0]["kling_task_id"]
    account.kling.forget(vanished)
    until_looked_at(run, account, 10)
    account.kling.finish()
    done(run)
    (row,) = errors(account)
    assert f"no task has the id {vanished}" in errors(account)[row]
    assert tries(run) == {1}
    account.judge("a task that vanishes", without_video={row})

    # Kling knows nothing of it any more, not even its external id: whoever clears it, asks for another video.
    run.clear("video")
    until_made(run, account, 4)
    account.kling.finish()
    assert done(run) == "success"
    assert len(account.kling.ledger) == 4
    assert not errors(account)


@at_once(duration=2)
def test_a_status_that_nobody_knows_is_waited_out(account, wished):
    account.kling.plan(status="reviewing", times=None)
    run = account.submission("in_triggerer", wished)
    until_waiting(run, account, wished)
    until_looked_at(run, account, 9)
    assert run.count("video", "deferred") == wished
    for task in account.kling.ledger:
        account.kling.show_status(task["kling_task_id"], None)
    assert done(run) == "success"
    account.judge("an unknown status for a while")


@at_once(duration=2)
def test_a_status_that_stays_unknown_is_named_in_the_end_and_a_clear_takes_the_task(account):
    account.kling.plan(status="reviewing", times=None)
    run = account.submission("impatient", 2)
    done(run)
    made = {task["kling_task_id"] for task in account.kling.ledger}
    assert len(errors(account)) == 2
    for error in errors(account).values():
        assert "reviewing" in error
        assert any(task in error for task in made)

    for task in made:
        account.kling.show_status(task, None)
    run.clear()
    assert done(run) == "success"
    account.judge("an unknown status until the timeout, then cleared")


@at_once()
def test_a_task_that_never_ends_is_said_to_go_on_and_a_clear_takes_it(account):
    account.kling.plan(never=True, times=None)
    run = account.submission("impatient", 3)
    done(run)
    made = [task["kling_task_id"] for task in account.kling.ledger]
    assert len(errors(account)) == 3
    for error in errors(account).values():
        assert any(f"Kling task {task} is not done after" in error for task in made)
        assert "It goes on at Kling and will be charged" in error

    account.kling.finish()
    run.clear()
    assert done(run) == "success"
    account.judge("a task that does not end until the timeout, then cleared")


# --- Tasks that fail


@at_once(duration=600)
def test_a_retry_asks_for_a_failed_task_under_the_next_id(account, wished):
    run = account.submission("in_triggerer", wished)
    until_waiting(run, account, wished)
    for task in account.kling.ledger[: wished // 2]:
        account.kling.fail(task["kling_task_id"], "Internal trouble")
    until_made(run, account, wished + wished // 2)
    account.kling.finish()
    assert done(run) == "success"
    assert sum(task["external_task_id"].endswith("-2") for task in account.kling.ledger) == wished // 2
    assert tries(run) == {1, 2}
    account.judge("tasks that fail at Kling, retried", earlier_failed=wished // 2)


@at_once(duration=600)
def test_an_image_that_cannot_work_is_asked_for_once_and_again_only_by_a_clear(account):
    run = account.submission("in_triggerer", 2)
    until_waiting(run, account, 2)
    account.kling.fail(account.kling.ledger[0]["kling_task_id"], "Image pixel is invalid")
    account.kling.finish()
    done(run)
    (row,) = errors(account)
    assert "Image pixel is invalid" in errors(account)[row]
    assert len(account.kling.ledger) == 2
    assert tries(run) == {1}

    run.clear("video")
    until_made(run, account, 3)
    account.kling.finish()
    assert done(run) == "success"
    account.judge("an image that fails at Kling, then cleared", earlier_failed=1)


@at_once(duration=600)
def test_a_sensor_does_not_ask_again_but_a_clear_of_the_create_does(account):
    run = account.submission("create_and_wait", 2)
    # Once the operator is done: of a task that has failed before, a new start of its trigger would ask again.
    run.until("both tasks are made", lambda: run.count("video.create", "success") == 2, timeout=PATIENCE)
    account.kling.fail(account.kling.ledger[0]["kling_task_id"], "Internal trouble")
    account.kling.finish()
    done(run)
    (row,) = errors(account)
    assert "Internal trouble" in errors(account)[row]
    assert len(account.kling.ledger) == 2
    assert tries(run, "video.wait") == {1}

    run.clear()
    until_made(run, account, 3)
    account.kling.finish()
    assert done(run) == "success"
    assert sum(task["external_task_id"].endswith("-2") for task in account.kling.ledger) == 1
    account.judge("a task that fails under a sensor, then the run cleared", earlier_failed=1)
