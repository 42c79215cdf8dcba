"""A client of a running Airflow: its public REST API and its database. How Airflow was started does not matter."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg2
import requests
from processes import until

DONE = {"success", "failed"}


class Airflow:
    """The Airflow at `url`. Subclasses implement access to its database and its logs."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._states: dict[tuple[str, str], str] = {}
        self._states_until = 0.0
        self._states_lock = threading.Lock()

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a query on Airflow's database and return its rows."""
        raise NotImplementedError

    def log_tails(self) -> str:
        """The last lines of every component's log."""
        raise NotImplementedError

    def log_in(self, user: str, password: str) -> None:
        """Send all further requests as this user."""
        self._use_token(self._session.post(f"{self.url}/auth/token", json={"username": user, "password": password}, timeout=30))

    def log_in_as_admin(self) -> None:
        """Send all further requests with a token of Airflow's that takes everybody for an admin: 3.1 asks for one all the same."""
        self._use_token(self._session.get(f"{self.url}/auth/token", timeout=30))

    def _use_token(self, response: requests.Response) -> None:
        assert response.ok, (response.status_code, response.text[:500])
        self._session.headers["Authorization"] = f"Bearer {response.json()['access_token']}"

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request to Airflow's public REST API and return the JSON of the response.

        Connection errors and responses of 500 or above are retried, as they occur during a restart. LookupError on a 404.
        """

        def send() -> list[requests.Response]:
            try:
                response = self._session.request(method, f"{self.url}/api/v2/{path}", timeout=30, **options)
            except requests.RequestException:
                return []
            return [response] if response.status_code < 500 else []

        (response,) = until(f"Airflow answers {method} {path}", send, describe=self.log_tails)
        if response.status_code == 404:
            raise LookupError(path)
        assert response.ok, (method, path, response.status_code, response.text[:2000])
        return response.json() if response.content else None

    def connect(self, conn_id: str, connection: str, **extra: Any) -> None:
        """Define a connection from its JSON. It replaces an existing one of this id."""
        fields = json.loads(connection)
        own = fields.get("extra") or {}
        own = json.loads(own) if isinstance(own, str) else own
        body = {"connection_id": conn_id, **fields, "extra": json.dumps({**own, **extra})}
        with contextlib.suppress(LookupError):
            self.request("DELETE", f"connections/{conn_id}")
        self.request("POST", "connections", json=body)

    def start_run(self, dag_id: str, conf: Mapping[str, Any], *, run_id: str = "") -> Run:
        """Start a DAG run, once Airflow knows the DAG."""
        until(f"DAG {dag_id} exists", lambda: self._has_dag(dag_id), describe=self.log_tails)
        body = {"logical_date": None, "conf": dict(conf), **({"dag_run_id": run_id} if run_id else {})}
        created = self.request("POST", f"dags/{dag_id}/dagRuns", json=body)
        return Run(self, dag_id, created["dag_run_id"])

    def _has_dag(self, dag_id: str) -> bool:
        try:
            return bool(self.request("GET", f"dags/{dag_id}"))
        except LookupError:
            return False

    @contextlib.contextmanager
    def limit_tasks(self, tasks: int) -> Iterator[None]:
        """Within this context, Airflow runs at most this many tasks on workers at once."""
        before = self._set_slots(tasks)
        try:
            yield
        finally:
            self._set_slots(before)

    def _set_slots(self, slots: int) -> int:
        """Set the slots of the default pool, and return how many it had before."""
        path = "pools/default_pool"
        before = int(self.request("GET", path)["slots"])
        self.request("PATCH", path, params={"update_mask": "slots"}, json={"name": "default_pool", "slots": slots})
        return before

    def run_states(self, *, refresh: bool = False) -> dict[tuple[str, str], str]:
        """The state of each DAG run by DAG id and run id; empty while the database is down.

        All waiting threads share one query every half second.
        """
        with self._states_lock:
            if refresh or time.monotonic() > self._states_until:
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
        return str(self.stack.request("GET", self.path)["state"])

    def instances(self, task_id: str = "", *, state: str = "") -> list[dict[str, Any]]:
        """The run's task instances, optionally only those of one task or in one state."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.stack.request("GET", f"{self.path}/taskInstances", params={"limit": 100, "offset": len(found)})
            found += page["task_instances"]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                break
        return [instance for instance in found if task_id in ("", instance["task_id"]) and state in ("", instance["state"])]

    def until(self, what: str, condition: Callable[[], Any], *, timeout: float = 120) -> Any:
        """Wait for a condition and return its value. A TimeoutError describes the run."""
        return until(f"{self.run_id}: {what}", condition, timeout=timeout, describe=self.describe, interval=0.25)

    def until_deferred(self, task_id: str, count: int) -> None:
        self.until(f"{count} of {task_id} are deferred", lambda: len(self.instances(task_id, state="deferred")) >= count)

    def until_done(self, *, timeout: float = 240) -> str:
        """Wait for the end of the run and return its state."""
        self.stack.run_states(refresh=True)  # a state cached before a clear does not count
        self.until("the run ends", lambda: self.stack.run_states().get((self.dag_id, self.run_id)) in DONE, timeout=timeout)
        return self.state

    def count(self, task_id: str, *states: str) -> int:
        """The number of a task's instances that are in one of these states."""
        query = "select count(*) from task_instance where dag_id = %s and run_id = %s and task_id = %s and state = any(%s)"
        return int(self.stack.sql(query, self.dag_id, self.run_id, task_id, list(states))[0][0])

    def clear(self, *task_ids: str, only_failed: bool = False) -> None:
        """Clear the instances of these tasks as a user does; without ids, the whole run."""
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
        self.stack.request("POST", f"dags/{self.dag_id}/clearTaskInstances", json=body)

    def mark(self, task_id: str, state: str, *, map_index: int) -> None:
        """Mark a task instance as `failed` or `success`."""
        self.stack.request("PATCH", f"{self.path}/taskInstances/{task_id}/{map_index}", json={"new_state": state})

    def fail(self) -> None:
        """Mark the run as failed. Airflow ends its unfinished task instances."""
        self.stack.request("PATCH", self.path, json={"state": "failed"})

    def delete(self) -> None:
        self.stack.request("DELETE", self.path)

    def log(self, task_id: str, *, map_index: int = -1, try_number: int = 1) -> str:
        """The log as the UI shows it."""
        parameters = {"map_index": map_index, "full_content": True}
        response = self.stack.request("GET", f"{self.path}/taskInstances/{task_id}/logs/{try_number}", params=parameters)
        return "\n".join(str(line.get("event", line)) if isinstance(line, dict) else str(line) for line in response["content"])

    def describe(self) -> str:
        """The run's state, the states of its task instances and the last lines of the logs, for error messages."""
        fields = ("task_id", "map_index", "state", "try_number")
        states = [tuple(instance[name] for name in fields) for instance in self.instances()]
        return f"{self.state}: {states}\n{self.stack.log_tails()}"
