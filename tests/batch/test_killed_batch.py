"""A batch whose process is killed again and again (kill -9), against an account that shares nothing with the package.

`KLING_KILLED_BATCH=20000,10` sets how many rows it has, and how often it is killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from batch_runs import lines, row, write
from hostile import HostileKling

ROWS, KILLS = map(int, os.environ.get("KLING_KILLED_BATCH", "400,4").split(","))
HANGS = 30.0 + ROWS / 10  # seconds after which the account has surely seen what is waited for

# One try of the Airflow task, as a worker runs it. Tasks take a second here, so they are polled early.
TRY = """
import json, sys
from batch_runs import operator
from task_runs import FakeAirflow
from airflow_provider_kling.dispatch import schedule

schedule.FIRST_POLL = 0.5
manifest, results, number, options = sys.argv[1:]
run = FakeAirflow(try_number=int(number), max_tries=100).run(operator(manifest, results, timeout=3600, **json.loads(options)))
sys.exit(0 if run.state == "success" else f"{run.state}: {run.error}")
"""


def begin(manifest: str, results: Path, number: int, home: Path, **options: object) -> subprocess.Popen:
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), str(tests / "batch"), *sys.path])}
    return subprocess.Popen(
        [sys.executable, "-c", TRY, manifest, str(results), str(number), json.dumps(options)],
        env={**environment, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__UNIT_TEST_MODE": "True"},
        start_new_session=True,
    )


def kill(process: subprocess.Popen) -> None:
    os.killpg(process.pid, 9)
    process.wait()


@pytest.mark.integration
def test_a_batch_that_is_killed_again_and_again_pays_each_row_once(monkeypatch, tmp_path):
    manifest, results = write(tmp_path, [row(number) for number in range(ROWS)]), tmp_path / "out"
    with HostileKling(order="random", seconds=1.0) as account:
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", account.connection(timeout=30))
        for number in range(1, KILLS + 1):
            process = begin(manifest, results, number, tmp_path)
            # In turns while it creates, and while it saves.
            if number % 2:
                account.wait_for("create", number * ROWS // (KILLS + 1), HANGS)
            else:
                account.wait_for("video", account.count("video") + max(1, ROWS // (2 * KILLS)), HANGS)
            kill(process)
        assert begin(manifest, results, KILLS + 1, tmp_path).wait() == 0
        made = {task.external_id for task in account.ledger}
        assert (len(account.ledger), len(made), account.paid_twice()) == (ROWS, ROWS, [])
    written = lines(results)
    assert [line["id"] for line in written] == [f"r{number}" for number in range(ROWS)]
    assert {line["external_task_id"] for line in written} == made
    assert all(Path(line["videos"][0]["path"]).is_file() for line in written)
