"""A whole Airflow on this machine: PostgreSQL, API server, scheduler with LocalExecutor, dag-processor, two triggerers.

Each of its processes can be killed and started again. Everything is read over Airflow's public REST API, and over SQL
where that says nothing (which triggerer has which trigger).
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
from processes import MARK, Process, end_marked, free_port, new_mark, until, without

DAGS = Path(__file__).parent / "dags"
MODULES = Path(__file__).parent / "modules"
TASKS_AT_ONCE = 12

# Each task is a fork of the scheduler: what is imported there, a task need not import. It saves a third of its time.
PRELOAD = "import aiohttp, jwt, PIL.Image, requests"

# What Airflow takes minutes for where nobody waits, in seconds that a test can wait for.
QUICK = {
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
    """An Airflow under `home`, which runs the package's DAGs and those in `dags`."""

    def __init__(
        self,
        home: Path,
        *,
        dags: Path = DAGS,
        options: Mapping[str, str] | None = None,
        triggerers: int = 2,
        preload: str = PRELOAD,
    ) -> None:
        self.home = home
        self.mark = new_mark()
        self.logs = home / "processes"
        self.logs.mkdir(parents=True)
        port = free_port()
        super().__init__(f"http://127.0.0.1:{port}")
        # Each task is a process: where byte code may not be written, it would compile this package anew.
        base = without(("AIRFLOW", "KLING", "PG", "COVERAGE", "PYTHONDONTWRITEBYTECODE")) | {MARK: self.mark}
        self.postgres = Postgres(environment=base, log=self.logs / "postgres.log")
        bundles = [
            {"name": name, "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {"path": str(path)}}
            for name, path in (("package", ROOT / "dags"), ("tests", dags))
        ]
        database = f"{self.postgres.address}/airflow"
        self.environment = {
            **base,
            # `airflow` must be found by programs that Airflow itself starts.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{base['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(MODULES), base.get("PYTHONPATH", "")]),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": str(TASKS_AT_ONCE),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__PORT": str(port),
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
            **QUICK,
            **(options or {}),
        }
        self.api_server = self._component("api-server")
        self.scheduler = self._component("scheduler", "--skip-serve-logs", first=preload)
        self.dag_processor = self._component("dag-processor")
        self.triggerers = [self._triggerer(f"triggerer-{number}") for number in range(1, triggerers + 1)]

    # --- Up and down

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
        until("Airflow is healthy", self.healthy, timeout=120, told=self.tails)
        return self

    def stop(self) -> None:
        """End every process that this stack has started, and all that those have started."""
        for component in self.components:
            if component.alive:
                component.kill()
        end_marked(self.mark)
        self.postgres.remove()

    def __enter__(self) -> Stack:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def heal(self) -> None:
        """Start whatever does not run, or ends while it is waited for, until all is well: as an orchestrator does."""
        if not self.postgres.process.alive:
            self.postgres.start()

        def well() -> bool:
            for component in self.components:
                if not component.alive:
                    component.start()
            return self.healthy()

        until("Airflow is healthy again", well, timeout=180, told=self.tails)

    def healthy(self) -> bool:
        try:
            parts = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=5).json()
        except (requests.RequestException, ValueError):
            return False
        if not all((parts.get(name) or {}).get("status") == "healthy" for name in ("metadatabase", "scheduler", "triggerer")):
            return False
        return self.alive_triggerers() == sum(triggerer.alive for triggerer in self.triggerers)

    def alive_triggerers(self) -> int:
        """How many triggerers have shown signs of life in the last seconds."""
        lately = "latest_heartbeat > now() - interval '4 s'"
        query = f"select count(*) from job where job_type = 'TriggererJob' and end_date is null and {lately}"  # noqa: S608
        return int(self.sql(query)[0][0])

    def tails(self) -> str:
        return "\n".join(f"=== {component.name}\n{component.tail()}" for component in self.components)

    def _component(self, *arguments: str, name: str = "", first: str = "", **environment: str) -> Process:
        name = name or arguments[0]
        how = ["-c", f"{first}; from airflow.__main__ import main; main()"] if first else ["-m", "airflow"]
        command = [sys.executable, *how, *arguments]
        return Process(name, command, environment=self.environment | environment, log=self.logs / f"{name}.log", cwd=self.home)

    def _triggerer(self, name: str) -> Process:
        own_name = {
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "hostnames.own",
            "KLING_STACK_NAME": name,
        }
        return self._component("triggerer", "--skip-serve-logs", name=name, **own_name)

    # --- What is in it

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.postgres.ask("airflow", query, *values)

    def triggers_of(self, triggerer: Process) -> list[int]:
        """The triggers that this triggerer has, as far as Airflow knows."""
        query = "select trigger.id from trigger join job on job.id = trigger.triggerer_id where job.hostname = %s"
        return [one for (one,) in self.sql(query, triggerer.name)]
