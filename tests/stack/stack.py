"""A whole Airflow on this machine: PostgreSQL, API server, scheduler with LocalExecutor, dag-processor, two triggerers.

Each of its processes can be killed and started again. Everything is read over Airflow's public REST API, and over SQL
where that says nothing (which triggerer has which trigger).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import requests
from places import ROOT
from postgres import Postgres
from processes import MARK, Process, end_marked, free_port, new_mark, until, without

DAGS = Path(__file__).parent / "dags"
MODULES = Path(__file__).parent / "modules"
DONE = {"success", "failed"}
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


class Stack:
    """An Airflow under `home`, which runs the package's DAGs and those in `dags`."""

    def __init__(self, home: Path, *, dags: Path = DAGS, options: Mapping[str, str] | None = None, triggerers: int = 2) -> None:
        self.home = home
        self.mark = new_mark()
        self.logs = home / "processes"
        self.logs.mkdir(parents=True)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        base = without(("AIRFLOW", "KLING", "PG", "COVERAGE")) | {MARK: self.mark}
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
        self.scheduler = self._component("scheduler", "--skip-serve-logs", first=PRELOAD)
        self.dag_processor = self._component("dag-processor")
        self.triggerers = [self._triggerer(f"triggerer-{number}") for number in range(1, triggerers + 1)]
        self._session = requests.Session()
        self._session.trust_env = False
        self._states: dict[tuple[str, str], str] = {}
        self._states_until = 0.0
        self._states_lock = threading.Lock()

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

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """Airflow's public REST API: the answer's JSON. The server's own faults are waited out, as during a restart."""
        answer: list[requests.Response] = []

        def answered() -> bool:
            try:
                response = self._session.request(method, f"{self.url}/api/v2/{path}", timeout=30, **options)
            except requests.RequestException:
                return False
            if response.status_code < 500:
                answer.append(response)
            return bool(answer)

        until(f"Airflow answers {method} {path}", answered, told=self.api_server.tail)
        if answer[0].status_code == 404:
            raise LookupError(path)
        assert answer[0].ok, (method, path, answer[0].status_code, answer[0].text[:2000])
        return answer[0].json() if answer[0].content else None

    def connect(self, conn_id: str, connection: str, **extra: Any) -> None:
        """Define a connection, given as its JSON; it replaces one of this name."""
        fields = json.loads(connection)
        body = {"connection_id": conn_id, **fields, "extra": json.dumps({**json.loads(fields.get("extra") or "{}"), **extra})}
        with contextlib.suppress(LookupError):
            self.ask("DELETE", f"connections/{conn_id}")
        self.ask("POST", "connections", json=body)

    def run(self, dag_id: str, conf: Mapping[str, Any], *, run_id: str = "") -> Run:
        """Start a DAG run; the DAG is waited for."""
        until(f"DAG {dag_id} is there", lambda: self._has_dag(dag_id), told=self.dag_processor.tail)
        body = {"logical_date": None, "conf": dict(conf), **({"dag_run_id": run_id} if run_id else {})}
        made = self.ask("POST", f"dags/{dag_id}/dagRuns", json=body)
        return Run(self, dag_id, made["dag_run_id"])

    def _has_dag(self, dag_id: str) -> bool:
        try:
            return bool(self.ask("GET", f"dags/{dag_id}"))
        except LookupError:
            return False

    @contextlib.contextmanager
    def at_most(self, tasks: int) -> Iterator[None]:
        """Let no more tasks run on workers at once."""
        before = self._set_slots(tasks)
        try:
            yield
        finally:
            self._set_slots(before)

    def _set_slots(self, slots: int) -> int:
        """The slots of the default pool from now on; brings those before."""
        path = "pools/default_pool"
        before = int(self.ask("GET", path)["slots"])
        self.ask("PATCH", path, params={"update_mask": "slots"}, json={"name": "default_pool", "slots": slots})
        return before

    def run_states(self, *, anew: bool = False) -> dict[tuple[str, str], str]:
        """The state of each DAG run: one query in half a second for all who wait; nothing while the database is away."""
        with self._states_lock:
            if anew or time.monotonic() > self._states_until:
                try:
                    rows = self.sql("select dag_id, run_id, state from dag_run")
                except psycopg2.Error:
                    rows = []
                self._states = {(dag_id, run_id): state for dag_id, run_id, state in rows}
                self._states_until = time.monotonic() + 0.5
            return self._states

    def triggers_of(self, triggerer: Process) -> list[int]:
        """The triggers that this triggerer has, as far as Airflow knows."""
        query = "select trigger.id from trigger join job on job.id = trigger.triggerer_id where job.hostname = %s"
        return [one for (one,) in self.sql(query, triggerer.name)]


@dataclass(frozen=True)
class Run:
    """A DAG run."""

    stack: Stack
    dag_id: str
    run_id: str

    @property
    def path(self) -> str:
        return f"dags/{self.dag_id}/dagRuns/{self.run_id}"

    @property
    def state(self) -> str:
        return str(self.stack.ask("GET", self.path)["state"])

    def instances(self, task_id: str = "", *, state: str = "") -> list[dict[str, Any]]:
        """The run's task instances, of one task and in one state or of all."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.stack.ask("GET", f"{self.path}/taskInstances", params={"limit": 100, "offset": len(found)})
            found += page["task_instances"]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                break
        return [one for one in found if task_id in ("", one["task_id"]) and state in ("", one["state"])]

    def until(self, what: str, happens: Callable[[], Any], *, timeout: float = 120) -> Any:
        """Wait for something while the run is under way."""
        return until(f"{self.run_id}: {what}", happens, timeout=timeout, told=self.told, every=0.25)

    def until_deferred(self, task_id: str, count: int) -> None:
        self.until(f"{count} of {task_id} are deferred", lambda: len(self.instances(task_id, state="deferred")) >= count)

    def until_done(self, *, timeout: float = 240) -> str:
        """The state in which the run ends."""
        self.stack.run_states(anew=True)  # what was seen before a clear is no end
        self.until("it ends", lambda: self.stack.run_states().get((self.dag_id, self.run_id)) in DONE, timeout=timeout)
        return self.state

    def count(self, task_id: str, *states: str) -> int:
        """How many instances of a task are in one of these states."""
        query = "select count(*) from task_instance where dag_id = %s and run_id = %s and task_id = %s and state = any(%s)"
        return int(self.stack.sql(query, self.dag_id, self.run_id, task_id, list(states))[0][0])

    def clear(self, *task_ids: str, only_failed: bool = False) -> None:
        """Clear task instances, as a user does; without ids, the whole run."""
        body: dict[str, Any] = {
            "dry_run": False,
            "dag_run_id": self.run_id,
            "only_failed": only_failed,
            "only_running": False,
            "reset_dag_runs": True,
            "include_downstream": True,
        }
        if task_ids:
            body["task_ids"] = list(task_ids)
        self.stack.ask("POST", f"dags/{self.dag_id}/clearTaskInstances", json=body)

    def mark(self, task_id: str, state: str, *, map_index: int) -> None:
        """Mark a task instance as `failed` or `success`."""
        self.stack.ask("PATCH", f"{self.path}/taskInstances/{task_id}/{map_index}", json={"new_state": state})

    def fail(self) -> None:
        """Mark the run as failed, and with it what is under way in it."""
        self.stack.ask("PATCH", self.path, json={"state": "failed"})

    def delete(self) -> None:
        self.stack.ask("DELETE", self.path)

    def log(self, task_id: str, *, map_index: int = -1, try_number: int = 1) -> str:
        """What a person reads in the UI."""
        parameters = {"map_index": map_index, "full_content": True}
        answer = self.stack.ask("GET", f"{self.path}/taskInstances/{task_id}/logs/{try_number}", params=parameters)
        return "\n".join(str(line.get("event", line)) if isinstance(line, dict) else str(line) for line in answer["content"])

    def workers(self, task_id: str) -> list[psutil.Process]:
        """The processes that run this task's instances right now."""
        pids = [instance["pid"] for instance in self.instances(task_id, state="running")]
        return [psutil.Process(pid) for pid in pids if pid and psutil.pid_exists(pid)]

    def told(self) -> str:
        states = [(one["task_id"], one["map_index"], one["state"], one["try_number"]) for one in self.instances()]
        return f"{self.state}: {states}\n{self.stack.tails()}"
