"""The cap of a run, while workers and triggerers die: exactly so many videos, each other row capped, and then the rest."""

from __future__ import annotations

from collections import Counter

from test_kills import PATIENCE

DAGS = ("kling_effects_batch", "kling_effects_mapped", "kling_effects_sharded")


def test_exactly_the_cap_is_made_whatever_dies(breakable_stack, open_account, rows):
    """A quarter of the rows is permitted. Both triggerers, and the scheduler with its workers, are killed meanwhile."""
    every = 4 * rows
    accounts = {dag_id: open_account(f"capped_{dag_id[14:]}", slots=max(2, rows // 2), duration=2) for dag_id in DAGS}
    runs = {dag_id: accounts[dag_id].run_dag(dag_id, every, params={"max_videos": rows}, shared=True) for dag_id in DAGS}
    for process, share in zip([*breakable_stack.triggerers, breakable_stack.scheduler], (0.25, 0.5, 0.75), strict=True):
        for dag_id, run in runs.items():
            made = accounts[dag_id].kling
            run.until(f"{share:.0%} of the cap are made", lambda: len(made.ledger) >= share * rows, timeout=PATIENCE)  # noqa: B023
        process.kill()
        breakable_stack.repair()
    for dag_id, run in runs.items():
        assert run.until_done(timeout=PATIENCE) == "success"
        account = accounts[dag_id]
        made = account.kling.ledger
        assert len({task["external_task_id"] for task in made}) == len(made) == rows
        assert Counter(line["status"] for line in account.results) == {"succeed": rows, "capped": every - rows}
        assert [line["status"] for line in account.results[:rows]] == ["succeed"] * rows
        run.delete()
    # With a higher cap, under the same run id: what exists is adopted, and the rest is made.
    again = {
        dag_id: accounts[dag_id].run_dag(dag_id, every, params={"max_videos": every}, shared=True, run_id=run.run_id)
        for dag_id, run in runs.items()
    }
    for dag_id, run in again.items():
        assert run.until_done(timeout=PATIENCE) == "success"
        accounts[dag_id].check(f"{dag_id} with a cap, its parts killed; then the cap raised")
