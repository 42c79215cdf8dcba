"""A real API server of Airflow in a process of its own, on the database of the test's process, and runs written into it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from airflow_home import unmeasured

from airflow_provider_kling import testing

# Viewers see every DAG with Airflow's simple auth manager, so the user without a right is one of a role that does not exist.
USERS = {"reader": "viewer", "stranger": ""}
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


@dataclass(kw_only=True)
class Instance:
    """A task instance to be written."""

    task_id: str
    map_index: int = -1
    state: str | None = "success"
    xcoms: Mapping[str, Any] = field(default_factory=dict)
    rendered: Mapping[str, Any] = field(default_factory=dict)


def create_tables() -> None:
    testing._create_tables()


def store_dag(dag: Any) -> None:
    """Write a DAG into the database, as Airflow's DAG processor does."""
    testing._store(dag)


def write_run(dag_id: str, run_id: str, instances: Iterable[Instance], *, state: str = "success") -> None:
    """Write a run and what its task instances have left, by plain inserts: thousands of them in a second."""
    from airflow.models.dag_version import DagVersion
    from airflow.models.dagrun import DagRun
    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import String, insert, select

    found = list(instances)
    xcoms = xcom_table()
    by_attempt = "task_instance_id" in xcoms.__table__.c  # since Airflow 3.4: what a task instance left belongs to its id
    ids_are_texts = isinstance(TaskInstance.__table__.c.id.type, String)  # before Airflow 3.2
    ids = {"dag_id": dag_id, "run_id": run_id}
    ended = START if state in ("success", "failed") else None
    with create_session() as session:
        version = session.scalar(
            select(DagVersion.id).where(DagVersion.dag_id == dag_id).order_by(DagVersion.version_number.desc()).limit(1)
        )
        run = DagRun(**ids, run_type="manual", state=state, run_after=START, start_date=START)
        run.end_date = ended
        session.add(run)
        session.flush()
        places = [{**ids, "task_id": one.task_id, "region_index" if by_attempt else "map_index": one.map_index} for one in found]
        numbers = [uuid.uuid4() for _ in found]
        owners = [{"task_instance_id": number} for number in numbers] if by_attempt else places
        run_key = {} if by_attempt else {"dag_run_id": run.id}
        tables: list[tuple[Any, list[dict[str, Any]]]] = [
            (
                TaskInstance.__table__,
                [
                    {
                        **place,
                        "id": str(number) if ids_are_texts else number,
                        "state": one.state,
                        "pool": "default_pool",
                        "pool_slots": 1,
                        "try_number": 1,
                        "max_tries": 0,
                        "dag_version_id": version,
                        "end_date": ended,
                    }
                    for one, place, number in zip(found, places, numbers, strict=True)
                ],
            ),
            (
                xcoms.__table__,
                [
                    {**owner, **run_key, "key": key, "value": value, "timestamp": START}
                    for one, owner in zip(found, owners, strict=True)
                    for key, value in one.xcoms.items()
                ],
            ),
            (
                RenderedTaskInstanceFields.__table__,
                [
                    {**owner, "rendered_fields": dict(one.rendered)}
                    for one, owner in zip(found, owners, strict=True)
                    if one.rendered
                ],
            ),
        ]
        for table, rows in tables:
            if rows:
                session.execute(insert(table), rows)


def xcom_table() -> Any:
    """The model that XComs are written with. Since Airflow 3.4, `XComModel` only reads."""
    from airflow.models import xcom

    return xcom.XComModelV2 if hasattr(xcom, "XComModelV2") else xcom.XComModel


@dataclass
class ApiServer:
    """A running API server. Without a user, requests are anonymous."""

    url: str
    log: Path
    tokens: dict[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, *, user: str | None = "reader", **options: Any) -> requests.Response:
        """A request for an address below `/kling/`. Redirects are not followed."""
        headers = dict(options.pop("headers", {}))
        if user:
            headers["Authorization"] = f"Bearer {self.token(user)}"
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                method, f"{self.url}/kling/{path}", headers=headers, allow_redirects=False, timeout=60, **options
            )

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def rows(self, dag_id: str, run_id: str, **parameters: Any) -> dict[str, Any]:
        response = self.get(address(dag_id, "rows"), params={"run_id": run_id, **parameters})
        assert response.status_code == 200, response.text
        return dict(response.json())

    def token(self, user: str) -> str:
        if user not in self.tokens:
            body = {"username": user, "password": user}
            response = requests.post(f"{self.url}/auth/token", json=body, timeout=60)
            assert response.ok, response.text
            self.tokens[user] = response.json()["access_token"]
        return self.tokens[user]


def address(dag_id: str, what: str) -> str:
    return f"api/dags/{quote(dag_id, safe='')}/{what}"


@contextlib.contextmanager
def serving(folder: Path, **environment: str) -> Iterator[ApiServer]:
    """An API server on a free port, until the block ends. `folder` gets its log and its passwords."""
    from airflow.configuration import conf

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    passwords, log = folder / "passwords.json", folder / "api-server.log"
    passwords.write_text(json.dumps({user: user for user in USERS}))
    settings = {
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in USERS.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": conf.get("database", "sql_alchemy_conn"),
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of these tests, which is long enough to sign their tokens with it",
        **environment,
    }
    command = [sys.executable, "-m", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--apps", "core"], env=unmeasured(os.environ) | settings, stdout=output, stderr=subprocess.STDOUT, cwd=folder
        )
    try:
        server = ApiServer(f"http://127.0.0.1:{port}", log)
        _await(server, process)
        yield server
    finally:
        process.kill()  # it has nothing to lose, and would wait for connections
        process.wait()


def _await(server: ApiServer, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 600  # it takes four seconds of a processor, and other tests may leave it a tenth of one
    while time.monotonic() < end:
        assert process.poll() is None, server.log.read_text()[-6000:]
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{server.url}/api/v2/version", timeout=5).ok:
                return
        time.sleep(0.1)
    raise AssertionError(f"The API server does not answer: {server.log.read_text()[-6000:]}")
