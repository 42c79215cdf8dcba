"""A test of a user's own DAG, in a fresh Airflow home, as the README shows it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TESTS = """
from airflow.sdk import dag
from airflow_provider_kling.operators import KlingEffectOperator
from airflow_provider_kling.testing import run_dag
import pytest


@dag(schedule=None, params={"scene": "pet_lion_pro"})
def mine():
    KlingEffectOperator(task_id="video", effect_scene="{{ params.scene }}", image="https://example.com/a.jpg",
                        wait_for_completion=True, deferrable=True)


my_dag = mine()


def test_my_dag(kling_emulator):
    run_dag(my_dag)
    assert len(kling_emulator.ledger) == 1


def test_a_failure_is_one(kling_emulator):
    with pytest.raises(AssertionError, match="DAG 'mine' ended as failed: video"):
        run_dag(my_dag, {"scene": "pet_lion"})
    assert kling_emulator.ledger == []
"""


@pytest.mark.integration
def test_two_lines_are_enough_in_a_fresh_home(tmp_path):
    (tmp_path / "test_mine.py").write_text(TESTS)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        env={**kept, "AIRFLOW_HOME": str(tmp_path / "airflow")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in run.stdout, (run.stdout + run.stderr)[-6000:]
