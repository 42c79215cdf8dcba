"""The cap of a run, while workers and triggerers die: exactly so many videos, each other row capped, and then the rest."""

from __future__ import annotations

from collections import Counter

import pytest
from test_kills import PATIENCE


@pytest.mark.parametrize("dag_id", ["kling_effects_batch", "kling_effects_mapped", "kling_effects_sharded"])
def test_exactly_the_cap_is_made_whatever_dies(breakable_stack, open_account, rows, dag_id):
    """A quarter of the rows is permitted. Both triggerers and the scheduler with its workers are killed meanwhile."""
    account, every = open_account(f"capped_{dag_id[14:]}", slots=max(2, rows // 2), duration=2), 4 * rows
    run = account.run_dag(dag_id, every, params={"max_videos": rows}, shared=True)
    made = account.kling.ledger
    for process, share in zip([*breakable_stack.triggerers, breakable_stack.scheduler], (0.25, 0.5, 0.75), strict=True):
        run.until(
            f"{share:.0%} of the cap are made", lambda share=share: len(account.kling.ledger) >= share * rows, timeout=PATIENCE
        )
        process.kill()
        breakable_stack.repair()
    assert run.until_done(timeout=PATIENCE) == "success"
    made = account.kling.ledger
    assert len({task["external_task_id"] for task in made}) == len(made) == rows
    assert Counter(line["status"] for line in account.results) == {"succeed": rows, "capped": every - rows}
    assert [line["status"] for line in account.results[:rows]] == ["succeed"] * rows

    run.delete()  # with a higher cap, under the same run id: what exists is adopted, and the rest is made
    run = account.run_dag(dag_id, every, params={"max_videos": every}, shared=True, run_id=run.run_id)
    assert run.until_done(timeout=PATIENCE) == "success"
    account.check(f"{dag_id} with a cap, its parts killed; then the cap raised")
