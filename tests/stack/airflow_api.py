"""What can be asked of a running Airflow, over its public REST API and its database, whoever has started it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg2
import requests
from processes import until

DONE = {"success", "failed"}


class Airflow:
    """An Airflow that answers under `url`; whoever derives from it says how to reach its database, and what its logs say."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._states: dict[tuple[str, str], str] = {}
        self._states_until = 0.0
        self._states_lock = threading.Lock()

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query to Airflow's database."""
        raise NotImplementedError

    def tails(self) -> str:
        """The ends of the logs of all parts."""
        raise NotImplementedError

    def log_in(self, user: str, password: str) -> None:
        """Ask as this user from now on."""
        answer = self._session.post(f"{self.url}/auth/token", json={"username": user, "password": password}, timeout=30)
        assert answer.ok, (answer.status_code, answer.text[:500])
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

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

        until(f"Airflow answers {method} {path}", answered, told=self.tails)
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
        until(f"DAG {dag_id} is there", lambda: self._has_dag(dag_id), told=self.tails)
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


@dataclass(frozen=True)
class Run:
    """A DAG run."""

    stack: Airflow
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
