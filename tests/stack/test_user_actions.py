"""What users do to runs and tasks in Airflow: tasks that were paid for are adopted, and the log reports it.

All tests here run in parallel, each with a Kling account of its own; see `parallel`.
"""

from __future__ import annotations

import subprocess
import sys

from account import Account
from airflow_api import Run
from parallel import in_parallel

PATIENCE = 400  # seconds; all tests share two cores
ENDLESS = 3600  # seconds; the Kling tasks run until the test ends them

GOES_ON = "Kling has no cancel: what was created goes on there and will be charged."
ADOPTED = "adopted, nothing is paid again."


def until_waiting(run: Run, account: Account, count: int, *, task_id: str = "video") -> None:
    """Until this many task instances are deferred and wait for their Kling tasks."""
    run.until(f"{count} tasks exist", lambda: len(created(account)) >= count, timeout=PATIENCE)
    until_state(run, count, "deferred", task_id=task_id)


def until_polled(run: Run, account: Account) -> None:
    """Until a triggerer has polled the tasks, which proves that it waits for them."""
    since = len(account.kling.journal)
    polled = lambda: any(request["kind"] in ("get", "list") for request in account.kling.journal[since:])  # noqa: E731
    run.until("Kling receives a poll", polled, timeout=PATIENCE)


def until_state(run: Run, count: int, *states: str, task_id: str = "video") -> None:
    run.until(f"{count} of {task_id} are {states}", lambda: run.count(task_id, *states) >= count, timeout=PATIENCE)


def until_logged(run: Run, sentence: str, *, try_number: int, task_id: str = "video", map_index: int = 0) -> None:
    """Until the task's log has this sentence. The triggerer's part of the log arrives a little later."""
    logged = lambda: sentence in run.log(task_id, map_index=map_index, try_number=try_number)  # noqa: E731
    run.until(f"try {try_number} of {task_id} logs: {sentence}", logged)


def waiting_second_tries(run: Run) -> int:
    """The number of task instances that are deferred in their second try."""
    return sum(instance["try_number"] == 2 for instance in run.instances("video", state="deferred"))


def until_done(run: Run) -> str:
    return run.until_done(timeout=PATIENCE)


def created(account: Account) -> list[str]:
    return [task["kling_task_id"] for task in account.kling.ledger]


def result(account: Account, number: int) -> dict:
    """The result of one row."""
    return account.results[number]


# --- While tasks wait


@in_parallel(duration=ENDLESS)
def test_a_waiting_task_marked_as_failed_and_cleared_adopts_its_kling_task(account, rows):
    run = account.run_dag("in_triggerer", rows)
    until_waiting(run, account, rows)
    until_polled(run, account)
    run.mark("video", "failed", map_index=0)
    until_logged(run, GOES_ON, try_number=1)
    account.kling.finish()
    until_done(run)
    assert result(account, 0)["status"] == "error"
    assert result(account, 0)["error"]
    assert result(account, 0)["kling_task_id"] in created(account)
    assert len(created(account)) == rows

    run.clear("video")
    assert until_done(run) == "success"
    until_logged(run, ADOPTED, try_number=2)
    account.check("marked failed while it waits, then cleared")


@in_parallel(duration=ENDLESS)
def test_a_waiting_task_marked_as_success_and_cleared_adopts_its_kling_task(account, rows):
    run = account.run_dag("create_and_wait", rows)
    until_waiting(run, account, rows, task_id="video.wait")
    until_polled(run, account)
    run.mark("video.wait", "success", map_index=0)
    until_logged(run, GOES_ON, try_number=1, task_id="video.wait")
    account.kling.finish()
    assert until_done(run) == "success"
    assert result(account, 0)["status"] == "error"
    assert "Its end was not awaited" in result(account, 0)["error"]
    assert result(account, 0)["kling_task_id"] in created(account)

    run.clear("video.wait")
    assert until_done(run) == "success"
    account.check("marked success while it waits, then cleared")


@in_parallel(duration=ENDLESS)
def test_a_waiting_task_that_is_cleared_adopts_its_kling_task(account, rows):
    run = account.run_dag("in_triggerer", rows)
    until_waiting(run, account, rows)
    until_polled(run, account)
    run.clear("video")
    run.until("the second tries wait", lambda: waiting_second_tries(run) == rows, timeout=PATIENCE)
    account.kling.finish()
    assert until_done(run) == "success"
    until_logged(run, GOES_ON, try_number=1)
    until_logged(run, ADOPTED, try_number=2)
    account.check("cleared while it waits")


@in_parallel(slots=1, duration=ENDLESS)
def test_a_task_that_waits_for_a_slot_and_is_cleared_pays_once(account):
    account.kling.occupy(1)
    run = account.run_dag("in_triggerer", 2)
    run.until("Kling refuses", lambda: any(one["code"] == 1303 for one in account.kling.requests("create")), timeout=PATIENCE)
    until_state(run, 2, "deferred")
    run.clear("video")
    run.until("the second tries wait", lambda: waiting_second_tries(run) == 2, timeout=PATIENCE)
    assert not created(account)
    account.kling.configure(slots=3)
    run.until("both tasks exist", lambda: len(created(account)) == 2, timeout=PATIENCE)
    account.kling.finish()
    assert until_done(run) == "success"
    account.check("cleared while it waits for a slot")


@in_parallel(duration=ENDLESS)
def test_a_dag_that_is_paused_while_tasks_wait_continues_when_it_is_unpaused(account, rows):
    stack = account.stack
    run = account.run_dag("pausable", rows)
    until_waiting(run, account, rows)
    stack.request("PATCH", "dags/pausable", json={"is_paused": True})
    account.kling.finish()
    until_state(run, rows, "scheduled", "queued", "success")  # the triggers fire although the DAG is paused
    stack.request("PATCH", "dags/pausable", json={"is_paused": False})
    assert until_done(run) == "success"
    assert {one["try_number"] for one in run.instances("video")} == {1}
    account.check("DAG paused while tasks wait, then unpaused")


# --- After a run has ended


@in_parallel(duration=2)
def test_a_run_cleared_after_its_success_downloads_nothing_and_pays_nothing(account, rows):
    run = account.run_dag("create_and_wait", rows)
    assert until_done(run) == "success"
    downloads = len(account.kling.requests("video"))
    run.clear()
    assert until_done(run) == "success"
    until_logged(run, ADOPTED, try_number=2, task_id="video.create")
    until_logged(run, "is already saved.", try_number=2, task_id="video.wait")
    assert len(account.kling.requests("video")) == downloads
    account.check("run cleared after its success, in the UI")


@in_parallel(duration=2)
def test_a_dag_cleared_by_command_after_its_success_pays_nothing(account, rows):
    run = account.run_dag("cleared_by_command", rows)
    assert until_done(run) == "success"
    command = [sys.executable, "-m", "airflow", "tasks", "clear", "--yes", run.dag_id]
    subprocess.run(command, env=account.stack.environment, cwd=account.stack.home, check=True, capture_output=True)
    assert until_done(run) == "success"
    until_logged(run, ADOPTED, try_number=2)
    account.check("cleared after its success, by command")


@in_parallel(duration=2)
def test_a_video_that_was_deleted_is_downloaded_again_by_a_clear(account, rows):
    run = account.run_dag("in_triggerer", rows)
    assert until_done(run) == "success"
    for file in (account.output / "videos").iterdir():
        file.unlink()
    account.kling.expire_links()
    run.clear("video")
    assert until_done(run) == "success"
    account.check("videos deleted and links dead, then cleared")


@in_parallel(duration=ENDLESS)
def test_a_run_deleted_while_its_tasks_wait_and_created_again_under_its_id_adopts_the_tasks(account, rows):
    run = account.run_dag("in_triggerer", rows, run_id="manual")
    until_waiting(run, account, rows)
    run.fail()  # Airflow does not delete a running run
    run.delete()
    run = account.run_dag("in_triggerer", rows, run_id="manual")
    until_state(run, rows, "deferred")
    account.kling.finish()
    assert until_done(run) == "success"
    until_logged(run, ADOPTED, try_number=1)
    account.check("run deleted, created again under the same run id")


# --- New requests


@in_parallel(duration=2)
def test_a_second_run_makes_new_requests_and_is_paid_for(account, rows):
    first = account.run_dag("in_triggerer", rows)
    assert until_done(first) == "success"
    account.check("a first run")
    second = account.run_dag("in_triggerer", rows)
    assert until_done(second) == "success"
    account.check("a second run, which pays again", earlier_requests=rows)


@in_parallel(duration=2)
def test_a_second_run_with_the_same_external_ids_pays_nothing(account):
    for _ in range(2):
        run = account.run_dag("by_own_ids", 2, params={"own_id": "order-1"})
        assert until_done(run) == "success"
    assert {task["external_task_id"] for task in account.kling.ledger} == {"order-1-r0", "order-1-r1"}
    until_logged(run, ADOPTED, try_number=1)
    account.check("a second run with the same user-chosen external ids")


@in_parallel(duration=2)
def test_a_changed_image_is_a_new_request_and_unchanged_rows_pay_nothing(account):
    run = account.run_dag("in_triggerer", 3)
    assert until_done(run) == "success"
    account.manifest.write_text(account.manifest.read_text().replace("r1.jpg", "another.jpg"))
    run.clear()
    assert until_done(run) == "success"
    account.check("cleared with one image changed", earlier_requests=1)


@in_parallel(duration=2)
def test_a_changed_signature_is_the_same_request(account):
    link = "https://d1.cloudfront.net/a.jpg?Expires={}&Signature={}&Key-Pair-Id=k"
    run = account.run_dag("in_triggerer", 1, image=link.format("1795305600", "aa"))
    assert until_done(run) == "success"
    account.write_manifest(1, image=link.format("1795392000", "bb"))
    run.clear()
    assert until_done(run) == "success"
    account.check("cleared with a newly signed link")


@in_parallel(duration=2)
def test_a_fresh_request_is_paid_for_only_once(account, rows):
    run = account.run_dag("in_triggerer", rows, run_id="takes", params={"fresh": "take 1"})
    assert until_done(run) == "success"
    run.delete()
    run = account.run_dag("in_triggerer", rows, run_id="takes", params={"fresh": "take 2"})
    assert until_done(run) == "success"
    run.clear()
    assert until_done(run) == "success"
    account.check("a fresh request for the same row, then cleared", earlier_requests=rows)
