"""Imports what tasks with this package's operators need, in the processes that fork tasks: each task then has it already.

One line in `airflow_local_settings.py` does it: `from airflow_provider_kling import preload`. Airflow imports that file in each of
its processes; in those that fork no tasks, and on systems without fork, nothing is imported here. An error is logged, and no more.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence

# Commands of Airflow whose processes fork tasks; of a scheduler, it depends on its executor.
SCHEDULER, WORKERS = "scheduler", (("celery", "worker"), ("edge", "worker"))

MODULES = (
    # What each task loads of Airflow's own.
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.python",
    "jinja2.ext",
    # What a task loads that asks for videos, waits for them and saves them, and the libraries that these need.
    "airflow_provider_kling.operators.effect",
    "airflow_provider_kling.operators.batch",
    "airflow_provider_kling.sensors.task",
    "airflow_provider_kling.decorators.operator",
    "airflow_provider_kling.mapping",
    "airflow_provider_kling.triggers.deferral",
    "airflow_provider_kling.client.requests_transport",
    "airflow_provider_kling.client.sync_client",
    "airflow_provider_kling.manifests.loading",
    "airflow_provider_kling.saved_videos",
)

log = logging.getLogger(__name__)


def forks_tasks(arguments: Sequence[str]) -> bool:
    """Whether a process that was started with these arguments of the `airflow` command forks tasks."""
    if not hasattr(os, "fork") or sys.platform == "darwin":  # there, Airflow starts a new interpreter for each task
        return False
    if tuple(arguments[:2]) in WORKERS:
        return True
    if tuple(arguments[:1]) != (SCHEDULER,):
        return False
    from airflow.providers.common.compat.sdk import conf

    return "LocalExecutor" in conf.get("core", "executor")


def import_modules(modules: Sequence[str] = MODULES) -> None:
    """Import these modules. Logs what cannot be imported, and raises nothing: tasks import what they need themselves."""
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - a scheduler that starts is worth more
            log.warning("%s is not preloaded: %s: %s", name, type(error).__name__, error)


if forks_tasks(sys.argv[1:]):
    import_modules()
