"""Tasks that the triggerer ends itself, with paths that it shares with the workers (an object store)."""

from __future__ import annotations

from test_kills import LONG, PATIENCE, parked, underway, until_waits
from together import at_once

RESUMED = "Pushing xcom"  # what a worker says that ends a task


@at_once(duration=2)
def test_videos_are_saved_and_results_are_whole_without_a_second_start_of_a_worker(account, wished):
    run = account.submission("ends_in_triggerer", wished, shared=True)
    assert run.until_done() == "success"
    assert {one["try_number"] for one in run.instances("video")} == {1}
    log = run.log("video", map_index=0)
    assert "Saved shared://" in log
    assert RESUMED not in log
    link = run.stack.ask("GET", f"{run.path}/taskInstances/video/links", params={"map_index": 0})
    assert link["extra_links"]["Open video"].endswith(".mp4"), link
    account.judge("ended from the triggerer")


@at_once(duration=2)
def test_operator_and_sensor_both_end_there(account, wished):
    run = account.submission("both_end_in_triggerer", wished, shared=True)
    assert run.until_done() == "success"
    for task_id in ("video.create", "video.wait"):
        assert RESUMED not in run.log(task_id, map_index=0)
    account.judge("operator and sensor ended from the triggerer")


@at_once(duration=2)
def test_a_failed_task_is_asked_for_again_by_a_worker(account, wished):
    account.kling.fail_next(times=wished)
    run = account.submission("ends_in_triggerer", wished, shared=True)
    assert run.until_done() == "success"
    assert {one["try_number"] for one in run.instances("video")} == {2}
    account.judge("task failed at Kling, to be ended from the triggerer", earlier_failed=wished)


@at_once(duration=2)
def test_a_folder_of_the_workers_own_is_left_to_a_worker(account, wished):
    run = account.submission("ends_in_triggerer", wished)
    assert run.until_done() == "success"
    log = run.log("video", map_index=0)
    assert "a worker ends this task: save_to" in log
    assert RESUMED in log
    account.judge("to be ended from the triggerer, which has not the folder")


def test_a_triggerer_that_dies_while_it_saves(whole, open_account, wished):
    first, second = whole.triggerers
    account = open_account("saving", duration=LONG)
    account.kling.fault("slow", on="video", seconds=LONG, times=None)
    with parked(whole, second):
        run = account.submission("ends_in_triggerer", wished, shared=True)
        until_waits(run, wished, at=first)
        run.until("all tasks exist", lambda: len(account.kling.ledger) == wished)
        account.kling.finish()
        run.until("videos are being saved", lambda: underway(account, "video"))
    first.kill()
    account.kling.clear_faults()
    until_waits(run, wished, at=second)
    first.start()
    assert run.until_done(timeout=PATIENCE) == "success"
    account.judge("triggerer killed while it saves")
