"""Imports what DAG files and tasks with this package's operators need, in the processes that fork those who read and run them.

One line in `airflow_local_settings.py` does it: `from airflow_provider_kling import preload`. Airflow imports that file in each of
its processes; in those that fork neither, and on systems without fork, nothing is imported here. An error is logged, and no more.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence

# Commands of Airflow whose processes fork for each task, or each time that a DAG file is read. A scheduler's executor decides.
SCHEDULER, FORKING = "scheduler", (("celery", "worker"), ("edge", "worker"), ("dag-processor",))

AIRFLOWS = (
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.sdk.execution_time.cache",
    "airflow.sdk.definitions.connection",
    "airflow.sdk.definitions.decorators",
    "airflow.sdk.definitions.param",
    "airflow.sdk.observability.stats",
    "airflow.dag_processing.bundles.local",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.operators.python",
    "jinja2.ext",
    "upath.implementations.local",
)
"""What each task loads of Airflow's own, or because of Airflow. Not every version has all of it."""

OURS = (
    "operators.effect",
    "operators.batch",
    "operators.submissions",
    "operators.waits",
    "sensors.task",
    "decorators.operator",
    "mapping",
    "hooks.accounts",
    "hooks.saving",
    "hooks.telemetry",
    "triggers.deferral",
    "triggers.waiting",
    "writable",
    "manifests.loading",
    "naming.video_names",
    "api.effects",
    "client.urllib3_transport",
    "client.sync_client",
    "client.flows.create_when_free",
    "client.flows.save",
    "saved_videos",
    "results.task_result",
    "results.units",
    "results.xcom_keys",
    "task_end",
)
"""What a task loads that asks for videos, waits for them and saves them, with the libraries that these need."""

MODULES = (*AIRFLOWS, *(f"airflow_provider_kling.{name}" for name in OURS))

log = logging.getLogger(__name__)


def forks(arguments: Sequence[str]) -> bool:
    """Whether a process that was started with these arguments of the `airflow` command forks tasks, or readers of DAG files."""
    if not hasattr(os, "fork") or sys.platform == "darwin":  # there, Airflow starts a new interpreter for each
        return False
    if any(tuple(arguments[: len(command)]) == command for command in FORKING):
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
            if isinstance(error, ModuleNotFoundError) and name in AIRFLOWS:
                continue
            log.warning("%s is not preloaded: %s: %s", name, type(error).__name__, error)


if forks(sys.argv[1:]):
    import_modules()
