"""Tasks that end in the triggerer, with paths that it shares with the workers (an object store)."""

from __future__ import annotations

from parallel import in_parallel
from test_kills import ENDLESS, PATIENCE, suspended, unanswered, until_assigned

RESUMED = "Pushing xcom"  # in the log of a task that ends on a worker


@in_parallel(duration=2)
def test_videos_are_saved_without_a_second_worker_start(account, rows):
    run = account.run_dag("ends_in_triggerer", rows, shared=True)
    assert run.until_done() == "success"
    assert {instance["try_number"] for instance in run.instances("video")} == {1}
    log = run.log("video", map_index=0)
    assert "Saved shared://" in log
    assert RESUMED not in log
    link = run.stack.request("GET", f"{run.path}/taskInstances/video/links", params={"map_index": 0})
    assert link["extra_links"]["Video"].endswith("/mapped/0/plugin/kling-task-videos"), link
    account.check("ended from the triggerer")


@in_parallel(duration=2)
def test_operator_and_sensor_both_end_in_the_triggerer(account, rows):
    run = account.run_dag("both_end_in_triggerer", rows, shared=True)
    assert run.until_done() == "success"
    for task_id in ("video.create", "video.wait"):
        assert RESUMED not in run.log(task_id, map_index=0)
    account.check("operator and sensor ended from the triggerer")


@in_parallel(duration=ENDLESS)
def test_a_failed_task_is_retried_by_a_worker(account, rows):
    run = account.run_dag("ends_in_triggerer", rows, shared=True)
    run.until("all tasks exist", lambda: len(account.kling.ledger) == rows)
    for task in account.kling.ledger:
        account.kling.fail(task["kling_task_id"], "Internal error")
    run.until("each row has another task", lambda: len(account.kling.ledger) == 2 * rows)
    account.kling.finish()
    assert run.until_done() == "success"
    assert {instance["try_number"] for instance in run.instances("video")} == {2}
    account.check("task failed at Kling, with end_from_trigger", failed_tasks=rows)


@in_parallel(duration=2)
def test_a_folder_that_only_workers_have_is_left_to_a_worker(account, rows):
    run = account.run_dag("ends_in_triggerer", rows)
    assert run.until_done() == "success"
    log = run.log("video", map_index=0)
    assert "A worker ends this task, not the triggerer: save_to" in log
    assert RESUMED in log
    account.check("end_from_trigger with a folder that only workers have")


def test_a_triggerer_that_dies_while_it_saves(breakable_stack, open_account, rows):
    first, second = breakable_stack.triggerers
    account = open_account("saving", duration=ENDLESS)
    account.kling.fault("slow", on="video", seconds=ENDLESS, times=None)
    with suspended(breakable_stack, second):
        run = account.run_dag("ends_in_triggerer", rows, shared=True)
        until_assigned(run, rows, to=first)
        run.until("all tasks exist", lambda: len(account.kling.ledger) == rows)
        account.kling.finish()
        run.until("videos are being saved", lambda: unanswered(account, "video"))
    first.kill()
    account.kling.clear_faults()
    until_assigned(run, rows, to=second)
    first.start()
    assert run.until_done(timeout=PATIENCE) == "success"
    account.check("triggerer killed while it saves")
