"""A complete Airflow on this machine: PostgreSQL, API server, scheduler with LocalExecutor, dag-processor, two triggerers.

Each process can be killed and started again. The tests use Airflow's public REST API, and SQL for what the API does not
show (which triggerer runs which trigger).
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from airflow_api import Airflow
from places import ROOT
from postgres import Postgres
from processes import MARK, Process, environment_without, free_port, kill_marked, new_mark, until

DAGS = Path(__file__).parent / "dags"
MODULES = Path(__file__).parent / "modules"
TASKS_AT_ONCE = 12

# Each task is a fork of the scheduler and shares its imports: all that a task with our operators imports, Airflow's and ours.
PRELOAD = """
import aiohttp, jwt, PIL.Image, requests
import airflow.sdk.execution_time.supervisor, airflow.sdk.execution_time.task_runner, airflow.providers.standard.decorators.python
import airflow_provider_kling.client.requests_transport, airflow_provider_kling.client.sync_client
import airflow_provider_kling.manifests.loading, airflow_provider_kling.manifests.sources
import airflow_provider_kling.saved_videos, airflow_provider_kling.triggers.deferral
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.mapping import outcomes_of, read_manifest, write_results
from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor
"""

# Airflow's defaults for these are minutes; a test waits for them.
SHORT_INTERVALS = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
}


class Stack(Airflow):
    """An Airflow with its files under `home`. It runs the package's DAGs, or what is in their place, and those in `dags`."""

    def __init__(
        self,
        home: Path,
        *,
        dags: Path = DAGS,
        package_dags: Path = ROOT / "dags",
        options: Mapping[str, str] | None = None,
        triggerers: int = 2,
        preload: str = PRELOAD,
    ) -> None:
        self.home = home
        self.mark = new_mark()
        self.logs = home / "processes"
        self.logs.mkdir(parents=True)
        self._port = free_port()
        super().__init__(f"http://127.0.0.1:{self._port}")
        # Each task is a process of its own. Without byte code files it would compile this package every time.
        base = environment_without(("AIRFLOW", "KLING", "PG", "COVERAGE", "PYTHONDONTWRITEBYTECODE")) | {MARK: self.mark}
        self.postgres = Postgres(environment=base, log=self.logs / "postgres.log")
        self.environment = {
            **base,
            # Airflow starts programs that must find `airflow`.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{base['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(MODULES), base.get("PYTHONPATH", "")]),
            **self._settings(package_dags, dags),
            **SHORT_INTERVALS,
            **(options or {}),
        }
        # A request of the UI holds one connection and asks for a second. With Airflow's 15, forty requests at once wait for
        # each other without an end.
        self.api_server = self._component("api-server", AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE="90")
        self.scheduler = self._component("scheduler", "--skip-serve-logs", preload=preload)
        self.dag_processor = self._component("dag-processor")
        self.triggerers = [self._triggerer(f"triggerer-{number}") for number in range(1, triggerers + 1)]

    def _settings(self, package_dags: Path, dags: Path) -> dict[str, str]:
        """Airflow's configuration as environment variables."""
        bundles = [
            {"name": name, "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {"path": str(path)}}
            for name, path in (("package", package_dags), ("tests", dags))
        ]
        database = f"{self.postgres.address}/airflow"
        return {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": str(TASKS_AT_ONCE),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__PORT": str(self._port),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://airflow@{database}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://airflow@{database}",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        }

    # --- Start and stop

    @property
    def components(self) -> list[Process]:
        return [self.api_server, self.scheduler, self.dag_processor, *self.triggerers]

    def start(self) -> Stack:
        self.postgres.start()
        self.postgres.create("airflow")
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        subprocess.run(command, env=self.environment, cwd=self.home, check=True, capture_output=True)
        for component in self.components:
            component.start()
        until("Airflow is healthy", self.healthy, timeout=120, describe=self.log_tails)
        return self

    def stop(self) -> None:
        """Kill all processes of this stack, and their descendants."""
        for component in self.components:
            if component.alive:
                component.kill()
        kill_marked(self.mark)
        self.postgres.remove()

    def __enter__(self) -> Stack:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def repair(self) -> None:
        """Start every component that is not running until all are healthy, as an orchestrator does."""
        if not self.postgres.process.alive:
            self.postgres.start()

        def start_missing() -> bool:
            for component in self.components:
                if not component.alive:
                    component.start()
            return self.healthy()

        until("Airflow is healthy again", start_missing, timeout=180, describe=self.log_tails)

    def healthy(self) -> bool:
        """Whether Airflow reports that it is healthy, and all running triggerers send heartbeats."""
        try:
            parts = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=5).json()
        except (requests.RequestException, ValueError):
            return False
        if not all((parts.get(name) or {}).get("status") == "healthy" for name in ("metadatabase", "scheduler", "triggerer")):
            return False
        return self.alive_triggerers() == sum(triggerer.alive for triggerer in self.triggerers)

    def alive_triggerers(self) -> int:
        """The number of triggerers with a heartbeat in the last 4 seconds."""
        recent = "latest_heartbeat > now() - interval '4 s'"
        query = f"select count(*) from job where job_type = 'TriggererJob' and end_date is null and {recent}"  # noqa: S608
        return int(self.sql(query)[0][0])

    def log_tails(self) -> str:
        return "\n".join(f"=== {component.name}\n{component.tail()}" for component in self.components)

    def another_api_server(self) -> tuple[Process, str]:
        """A second API server, which the caller starts, and its URL. Workers and `request` do not know it."""
        port = free_port()
        return self._component("api-server", name="api-server-2", AIRFLOW__API__PORT=str(port)), f"http://127.0.0.1:{port}"

    def _component(self, *arguments: str, name: str = "", preload: str = "", **environment: str) -> Process:
        name = name or arguments[0]
        program = ["-c", f"{preload}\nfrom airflow.__main__ import main; main()"] if preload else ["-m", "airflow"]
        command = [sys.executable, *program, *arguments]
        return Process(name, command, environment=self.environment | environment, log=self.logs / f"{name}.log", cwd=self.home)

    def _triggerer(self, name: str) -> Process:
        hostname = {"AIRFLOW__CORE__HOSTNAME_CALLABLE": "hostnames.own", "KLING_STACK_NAME": name}
        return self._component("triggerer", "--skip-serve-logs", name=name, **hostname)

    # --- Database

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.postgres.query("airflow", query, *values)

    def triggers_of(self, triggerer: Process) -> list[int]:
        """The ids of the triggers of deferred tasks that Airflow has assigned to this triggerer.

        An asset's watcher has a trigger, too, as long as its DAG is not paused. It belongs to no test.
        """
        query = (
            "select trigger.id from trigger join job on job.id = trigger.triggerer_id"
            " join task_instance on task_instance.trigger_id = trigger.id where job.hostname = %s"
        )
        return [trigger_id for (trigger_id,) in self.sql(query, triggerer.name)]
