"""Runs operators through Airflow's real task runner, in this process and without a database.

Only the Execution API is a fake. Templating, XComs, deferral, rescheduling and resuming are Airflow's own. Each trigger runs
in an event loop of its own, as under `dag.test()`.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator
from airflow.sdk.api import client as execution_api
from airflow.sdk.api.datamodels._generated import DagRun, TaskInstance
from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor
from airflow.serialization.serialized_objects import BaseSerialization

if TYPE_CHECKING:
    from airflow_provider_kling.operators import KlingEffectOperator

try:
    from airflow.sdk.serde import deserialize

    SERDE_IN_SDK = True
except ImportError:  # before Airflow 3.2
    from airflow.serialization.serde import deserialize

    SERDE_IN_SDK = False

# What Airflow's own client of the Execution API is built on: httpx2 since Airflow 3.4, httpx before. Their transports do not mix.
httpx: Any = execution_api.httpx2 if hasattr(execution_api, "httpx2") else execution_api.httpx

START = "2026-01-01T00:00:00Z"


@dataclass
class Run:
    """The outcome of one run of a task on a worker."""

    state: str
    error: BaseException | None
    patch: dict[str, Any]

    @property
    def trigger(self) -> tuple[str, dict[str, Any]]:
        """The row that this run stored in the trigger table: class path and arguments."""
        return self.patch["classpath"], _deserialized(self.patch["trigger_kwargs"])


@dataclass
class FakeAirflow:
    """Airflow as one task instance sees it. It keeps the XComs from run to run."""

    run_id: str = "scheduled__2026-01-01"
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 0
    reschedules: int = 0
    instances: int = 1  # of the task in its run
    iteration: int | None = None  # of a loop around the task; from Airflow 3.4 on
    xcoms: dict[str, Any] = field(default_factory=dict)
    rendered: dict[str, Any] = field(default_factory=dict)
    connections: dict[str, dict[str, Any]] = field(default_factory=dict)  # those of Airflow's database, by connection id
    requests: list[str] = field(default_factory=list)  # all that workers have sent, each as `GET /connections/kling_default`
    _patch: dict[str, Any] = field(default_factory=dict)
    _next: dict[str, Any] = field(default_factory=dict)

    def run(self, operator: BaseOperator, *, event: Any = None) -> Run:
        """Run the task once on a worker. With an event, the task resumes from a deferral."""
        next_kwargs = _serialized({"event": event}) if event is not None else None
        self._next = {"next_method": "execute_complete", "next_kwargs": next_kwargs} if event is not None else {}
        self._patch = {}
        supervisor = type("Supervisor", (InProcessTestSupervisor,), {"_api_client": staticmethod(self._client)})
        ti = TaskInstance(
            id=uuid.uuid4(),
            task_id=operator.task_id,
            dag_id=operator.dag.dag_id,
            run_id=self.run_id,
            try_number=self.try_number,
            map_index=self.map_index,
            dag_version_id=uuid.uuid4(),
        )
        if operator.dag is None:
            raise AssertionError("the operator is in no DAG")
        result = supervisor.start(what=ti, task=operator)
        return Run(state=str(getattr(result.state, "value", result.state)), error=result.error, patch=self._patch)

    def finish(self, operator: BaseOperator) -> Run:
        """Run the task, and resume it after each trigger, until it ends or is rescheduled."""
        run = self.run(operator)
        while run.state == "deferred":
            run = self.run(operator, event=fire(run))
        return run

    @property
    def result(self) -> Any:
        """The task's return value."""
        return self.xcoms.get("return_value")

    @property
    def _loop(self) -> dict[str, Any]:
        if self.iteration is None:
            return {}
        loop = {"node_id": "loop", "index": self.iteration, "max_iterations": 10, "terminal_task_id": "video"}
        return {"loop": {**loop, "terminal_is_mapped": self.map_index >= 0}}

    def _client(self, dag: DAG | None = None, attempt_id: uuid.UUID | None = None) -> execution_api.Client:
        client = execution_api.Client(base_url=None, token="", dry_run=True, transport=httpx.MockTransport(self._respond))
        client.base_url = "http://execution-api/"
        return client

    def _respond(self, request: Any) -> Any:
        path = request.url.path
        body = json.loads(request.content) if request.content else None
        self.requests.append(f"{request.method} {path}")
        if path.endswith("/run"):
            run = {"dag_id": "d", "run_id": self.run_id, "run_type": "manual", "state": "running", "consumed_asset_events": []}
            times = dict.fromkeys(("logical_date", "data_interval_start", "data_interval_end", "start_date", "run_after"), START)
            fields = {**run, **times, "end_date": None, "partition_key": None}
            dag_run = {name: value for name, value in fields.items() if name in DagRun.model_fields}  # they differ by version
            tries = {"max_tries": self.max_tries, "should_retry": self.try_number <= self.max_tries}
            context = {"dag_run": dag_run, **tries, "task_reschedule_count": self.reschedules, **self._loop}
            return httpx.Response(200, json={**context, **self._next})
        if path.endswith("/state"):
            self._patch = body
            return httpx.Response(204)
        if path.endswith("/rtif"):
            self.rendered = body
            return httpx.Response(201, json={"message": "ok"})
        if "/xcoms/" in path:
            return self._xcom(request.method, path.rsplit("/", 1)[-1], body)
        if path.endswith("/validate-inlets-and-outlets"):
            return httpx.Response(200, json={"inactive_assets": []})
        if path.startswith("/task-reschedules/"):
            return httpx.Response(200, json=START)
        if path.endswith("/task-instances/count"):
            return httpx.Response(200, json=self.instances)
        if (connection := self.connections.get(path.removeprefix("/connections/"))) is not None:
            return httpx.Response(200, json=connection)
        if path.startswith("/connections/"):
            return httpx.Response(404, json={"detail": {"reason": "not_found", "message": "no such connection"}})
        return httpx.Response(204)

    def _xcom(self, method: str, key: str, body: Any) -> Any:
        if method == "POST":
            self.xcoms[key] = _deserialized(body)
            return httpx.Response(201, json={"message": "ok"})
        if method == "DELETE":
            self.xcoms.pop(key, None)
            return httpx.Response(200, json={"message": "ok"})
        return httpx.Response(200, json={"key": key, "value": self.xcoms.get(key)})


def fire(run: Run) -> Any:
    """Run the trigger of a deferred task, built from its row as in the triggerer, and return its only event."""
    path, kwargs = run.trigger
    module, _, name = path.rpartition(".")
    trigger = getattr(importlib.import_module(module), name)(**kwargs)
    assert trigger.serialize() == (path, kwargs)

    async def events() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (event,) = asyncio.run(events())
    return json.loads(json.dumps(event))


def _deserialized(value: Any) -> Any:
    """A value that Airflow has serialized."""
    if isinstance(value, dict) and "__type" in value:
        return BaseSerialization.deserialize(value)
    return deserialize(value)


def _serialized(value: Any) -> Any:
    """The value as Airflow's server returns it to a task that resumes: unchanged since 3.2, serialized before."""
    return value if SERDE_IN_SDK else BaseSerialization.serialize(value)


URL = "https://example.com/portrait.jpg"


def operator(*, task_id="video", **kwargs) -> KlingEffectOperator:
    """An operator in a DAG `d`, with a short poll interval."""
    from airflow_provider_kling.operators import KlingEffectOperator  # here: what a process loads of the package is measured

    with DAG("d", schedule=None):
        return KlingEffectOperator(
            task_id=task_id, **{"effect_scene": "pet_lion_pro", "image": URL, "poll_interval": 0.05, **kwargs}
        )
