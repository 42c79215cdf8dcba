"""A race in Airflow: it fails a task that resumes before the scheduler has seen the task's first process end.

"… finished with state success, but the task instance's state attribute is queued": apache/airflow#67287, #72716.
`triggers.HOLD_BACK` avoids it.
"""

from __future__ import annotations

ROWS = 100
PATIENCE = 400  # seconds
TASKS = ("video.create", "video.wait")


def test_two_hundred_tasks_that_end_at_once_or_together_succeed_without_a_retry(stack, open_account):
    """Each create ends at once because there is a slot. Half of the sensors end one by one, the others at the same time."""
    account = open_account("fast_ends", duration=20)
    account.kling.plan(duration=3600, times=ROWS // 2)
    with stack.limit_tasks(6):
        run = account.run_dag("create_and_wait_once", ROWS)
        count = lambda *states: sum(run.count(task_id, *states) for task_id in TASKS)  # noqa: E731
        run.until("half have ended", lambda: count("success", "failed", "upstream_failed") >= ROWS * 3 // 2, timeout=PATIENCE)
        run.until("the others wait", lambda: run.count("video.wait", "deferred") <= ROWS // 2, timeout=PATIENCE)
        account.kling.finish()
        run.until_done(timeout=PATIENCE)
    query = "select count(*) from log where dag_id = %s and run_id = %s and event = 'state mismatch'"
    ((mismatches,),) = stack.sql(query, run.dag_id, run.run_id)
    assert {"mismatches": mismatches, "failed": count("failed"), "succeeded": count("success")} == {
        "mismatches": 0,
        "failed": 0,
        "succeeded": 2 * ROWS,
    }
    account.check("200 tasks that end at once, without retries")
