"""Imports in the processes that fork tasks or readers of DAG files, and in no others."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from airflow_provider_kling import preload

REPORT = "; print(int('urllib3' in sys.modules), int('airflow_provider_kling.operators.effect' in sys.modules))"


@pytest.mark.parametrize(
    ("arguments", "executor", "wanted"),
    [
        (["scheduler"], "LocalExecutor", True),
        (["scheduler", "--skip-serve-logs"], "CeleryExecutor,LocalExecutor", True),
        (["scheduler"], "CeleryExecutor", False),  # its tasks are forks of others
        (["scheduler"], "KubernetesExecutor", False),
        (["celery", "worker", "--concurrency", "8"], "CeleryExecutor", True),
        (["edge", "worker"], "EdgeExecutor", True),
        (["celery", "flower"], "CeleryExecutor", False),
        (["api-server"], "LocalExecutor", False),
        (["triggerer"], "LocalExecutor", False),
        (["dag-processor"], "KubernetesExecutor", True),
        (["dag-processor", "--bundle-name", "videos"], "LocalExecutor", True),
        (["dags", "test", "scheduler"], "LocalExecutor", False),
        ([], "LocalExecutor", False),
    ],
)
def test_processes_that_fork_preload(monkeypatch, arguments, executor, wanted):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
    assert preload.forks(arguments) is wanted


def test_one_line_in_the_local_settings_preloads_everything_in_a_scheduler(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "airflow_local_settings.py").write_text("from airflow_provider_kling import preload\n")
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}
    command = [sys.executable, "-c", f"import sys, airflow.settings; airflow.settings.initialize(){REPORT}", "scheduler"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split()[-2:] == ["1", "1"]
    assert "not preloaded" not in done.stdout + done.stderr  # each of the modules is there


def test_what_cannot_be_imported_is_said_and_stops_nothing(caplog):
    preload.import_modules(["airflow_provider_kling.gone", "json"])
    (record,) = caplog.records
    assert record.getMessage().startswith("airflow_provider_kling.gone is not preloaded: ModuleNotFoundError: ")
