"""What people do to runs and tasks in Airflow: what was paid for is taken again, and the log says so.

All of these are played at once, each on a Kling account of its own; see `together`.
"""

from __future__ import annotations

import subprocess
import sys

from airflow_api import Run
from submissions import Account
from together import at_once

PATIENCE = 400  # seconds; all of them share two processors
ENDLESS = 3600  # seconds; until the test ends the tasks

GOES_ON = "Kling has no cancel: what was created goes on there and will be charged."
TAKEN = "taking it, nothing is paid again."


def until_waiting(run: Run, account: Account, count: int, *, task_id: str = "video") -> None:
    """Until so many wait for the end of their Kling task."""
    run.until(f"{count} tasks are made", lambda: len(made(account)) >= count, timeout=PATIENCE)
    until_state(run, count, "deferred", task_id=task_id)


def until_looked_at(run: Run, account: Account) -> None:
    """Until a triggerer has asked for the tasks: it really waits for them."""
    since = len(account.kling.journal)
    looks = ("get", "list")
    run.until("Kling is asked", lambda: any(one["kind"] in looks for one in account.kling.journal[since:]), timeout=PATIENCE)


def until_state(run: Run, count: int, *states: str, task_id: str = "video") -> None:
    run.until(f"{count} of {task_id} are {states}", lambda: run.count(task_id, *states) >= count, timeout=PATIENCE)


def until_logged(run: Run, sentence: str, *, try_number: int, task_id: str = "video", map_index: int = 0) -> None:
    """A person reads this sentence in the task's log; the triggerer's part of it comes a little later."""
    read = lambda: sentence in run.log(task_id, map_index=map_index, try_number=try_number)  # noqa: E731
    run.until(f"try {try_number} of {task_id} logs: {sentence}", read)


def second_tries(run: Run) -> int:
    """How many wait in their second try."""
    return sum(one["try_number"] == 2 for one in run.instances("video", state="deferred"))


def done(run: Run) -> str:
    return run.until_done(timeout=PATIENCE)


def made(account: Account) -> list[str]:
    return [task["kling_task_id"] for task in account.kling.ledger]


def row(account: Account, number: int) -> dict:
    return account.results[number]


# --- While tasks wait


@at_once(duration=ENDLESS)
def test_a_waiting_task_marked_as_failed_and_cleared_takes_its_kling_task(account, wished):
    run = account.submission("in_triggerer", wished)
    until_waiting(run, account, wished)
    until_looked_at(run, account)
    run.mark("video", "failed", map_index=0)
    until_logged(run, GOES_ON, try_number=1)
    account.kling.finish()
    done(run)
    assert row(account, 0)["status"] == "error"
    assert row(account, 0)["error"]
    assert row(account, 0)["kling_task_id"] in made(account)
    assert len(made(account)) == wished

    run.clear("video")
    assert done(run) == "success"
    until_logged(run, TAKEN, try_number=2)
    account.judge("marked failed while it waits, then cleared")


@at_once(duration=ENDLESS)
def test_a_waiting_task_marked_as_success_and_cleared_takes_its_kling_task(account, wished):
    run = account.submission("create_and_wait", wished)
    until_waiting(run, account, wished, task_id="video.wait")
    until_looked_at(run, account)
    run.mark("video.wait", "success", map_index=0)
    until_logged(run, GOES_ON, try_number=1, task_id="video.wait")
    account.kling.finish()
    assert done(run) == "success"
    assert row(account, 0)["status"] == "error"
    assert "Its end was not awaited" in row(account, 0)["error"]
    assert row(account, 0)["kling_task_id"] in made(account)

    run.clear("video.wait")
    assert done(run) == "success"
    account.judge("marked success while it waits, then cleared")


@at_once(duration=ENDLESS)
def test_a_waiting_task_that_is_cleared_takes_its_kling_task(account, wished):
    run = account.submission("in_triggerer", wished)
    until_waiting(run, account, wished)
    until_looked_at(run, account)
    run.clear("video")
    run.until("the second tries wait", lambda: second_tries(run) == wished, timeout=PATIENCE)
    account.kling.finish()
    assert done(run) == "success"
    until_logged(run, GOES_ON, try_number=1)
    until_logged(run, TAKEN, try_number=2)
    account.judge("cleared while it waits")


@at_once(slots=1, duration=ENDLESS)
def test_a_task_that_waits_for_a_slot_and_is_cleared_pays_once(account):
    account.kling.occupy(1)
    run = account.submission("in_triggerer", 2)
    run.until("Kling refuses", lambda: any(one["code"] == 1303 for one in account.kling.requests("create")), timeout=PATIENCE)
    until_state(run, 2, "deferred")
    run.clear("video")
    run.until("the second tries wait", lambda: second_tries(run) == 2, timeout=PATIENCE)
    assert not made(account)
    account.kling.configure(slots=3)
    run.until("both are made", lambda: len(made(account)) == 2, timeout=PATIENCE)
    account.kling.finish()
    assert done(run) == "success"
    account.judge("cleared while it waits for a slot")


@at_once(duration=ENDLESS)
def test_a_dag_that_is_paused_while_tasks_wait_goes_on_when_it_is_unpaused(account, wished):
    stack = account.stack
    run = account.submission("pausable", wished)
    until_waiting(run, account, wished)
    stack.ask("PATCH", "dags/pausable", json={"is_paused": True})
    account.kling.finish()
    until_state(run, wished, "scheduled", "queued", "success")  # the triggers have fired, whatever the DAG's switch says
    stack.ask("PATCH", "dags/pausable", json={"is_paused": False})
    assert done(run) == "success"
    assert {one["try_number"] for one in run.instances("video")} == {1}
    account.judge("DAG paused while tasks wait, then unpaused")


# --- After the end


@at_once(duration=2)
def test_a_run_cleared_after_its_success_loads_nothing_and_pays_nothing(account, wished):
    run = account.submission("create_and_wait", wished)
    assert done(run) == "success"
    loaded = len(account.kling.requests("video"))
    run.clear()
    assert done(run) == "success"
    until_logged(run, TAKEN, try_number=2, task_id="video.create")
    until_logged(run, "is there already.", try_number=2, task_id="video.wait")
    assert len(account.kling.requests("video")) == loaded
    account.judge("run cleared after its success, in the UI")


@at_once(duration=2)
def test_a_dag_cleared_by_command_after_its_success_pays_nothing(account, wished):
    run = account.submission("cleared_by_command", wished)
    assert done(run) == "success"
    command = [sys.executable, "-m", "airflow", "tasks", "clear", "--yes", run.dag_id]
    subprocess.run(command, env=account.stack.environment, cwd=account.stack.home, check=True, capture_output=True)
    assert done(run) == "success"
    until_logged(run, TAKEN, try_number=2)
    account.judge("cleared after its success, by command")


@at_once(duration=2)
def test_a_video_that_was_deleted_is_loaded_again_by_a_clear(account, wished):
    run = account.submission("in_triggerer", wished)
    assert done(run) == "success"
    for file in (account.output / "videos").iterdir():
        file.unlink()
    account.kling.expire_links()
    run.clear("video")
    assert done(run) == "success"
    account.judge("videos deleted and links dead, then cleared")


@at_once(duration=ENDLESS)
def test_a_run_deleted_while_its_tasks_wait_and_made_again_under_its_id_takes_the_tasks(account, wished):
    run = account.submission("in_triggerer", wished, run_id="by_hand")
    until_waiting(run, account, wished)
    run.fail()  # Airflow deletes no run that is under way
    run.delete()
    run = account.submission("in_triggerer", wished, run_id="by_hand")
    until_state(run, wished, "deferred")
    account.kling.finish()
    assert done(run) == "success"
    until_logged(run, TAKEN, try_number=1)
    account.judge("run deleted, made again under the same run id")


# --- Other submissions


@at_once(duration=2)
def test_a_second_run_is_another_wish_and_is_paid_for(account, wished):
    first = account.submission("in_triggerer", wished)
    assert done(first) == "success"
    account.judge("a first run")
    second = account.submission("in_triggerer", wished)
    assert done(second) == "success"
    account.judge("a second run, which pays again", earlier_submissions=wished)


@at_once(duration=2)
def test_a_second_run_with_its_users_own_external_ids_pays_nothing(account):
    for _ in range(2):
        run = account.submission("by_own_ids", 2, params={"own_id": "order-1"})
        assert done(run) == "success"
    assert {task["external_task_id"] for task in account.kling.ledger} == {"order-1-r0", "order-1-r1"}
    until_logged(run, TAKEN, try_number=1)
    account.judge("a second run, with external ids of the user's own")


@at_once(duration=2)
def test_a_changed_image_is_another_wish_and_the_unchanged_rows_pay_nothing(account):
    run = account.submission("in_triggerer", 3)
    assert done(run) == "success"
    rows = account.manifest.read_text().replace("r1.jpg", "another.jpg")
    account.manifest.write_text(rows)
    run.clear()
    assert done(run) == "success"
    account.judge("cleared with one image changed", earlier_submissions=1)


@at_once(duration=2)
def test_a_signature_that_changed_is_no_other_submission(account):
    bucket = "https://bucket.s3.amazonaws.com/a.jpg?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={}&X-Amz-Signature={}"
    run = account.submission("in_triggerer", 1, image=bucket.format("20261122T000000Z", "aa"))
    assert done(run) == "success"
    account.write_manifest(1, image=bucket.format("20261123T000000Z", "bb"))
    run.clear()
    assert done(run) == "success"
    account.judge("cleared with a link signed anew")


@at_once(duration=2)
def test_a_fresh_wish_is_paid_for_and_only_once(account, wished):
    run = account.submission("in_triggerer", wished, run_id="takes", params={"fresh": "take 1"})
    assert done(run) == "success"
    run.delete()
    run = account.submission("in_triggerer", wished, run_id="takes", params={"fresh": "take 2"})
    assert done(run) == "success"
    run.clear()
    assert done(run) == "success"
    account.judge("a fresh submission for the same, then cleared", earlier_submissions=wished)
