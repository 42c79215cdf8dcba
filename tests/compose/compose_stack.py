"""Runs the services of docker-compose.yaml as `docker compose up` does, but without a container engine."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
from airflow_api import Airflow
from composefile import ComposeFile, Mount, Service
from containers import Container, Network
from images import SYSTEM, image_of
from processes import MARK, kill_marked, new_mark
from usage import Meter, Usage

HEALTH_INTERVAL = 1.0  # seconds between two health checks during a wait; the `interval` in the file is longer


class NotHealthy(Exception):
    """A service did not become healthy. The message has the end of its log."""


class Transcript:
    """A file with one timestamped line for each event of a service."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = time.monotonic()
        self._lock = threading.Lock()

    def log(self, source: str, event: str) -> None:
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(f"{time.monotonic() - self._start:7.1f} s  {source:24}  {event}\n")


class ComposeStack(Airflow):
    """The running services of a compose file, each with its replicas.

    `folder` holds the named volumes, the containers' logs and the transcript. `scale` is Compose's `--scale`. `options` are
    further environment variables for Airflow's services, such as shorter timeouts.
    """

    def __init__(
        self,
        file: ComposeFile,
        folder: Path,
        *,
        scale: Mapping[str, int] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__("")
        self.file = file
        self.folder = folder
        self.volumes = folder / "volumes"
        self.transcript = Transcript(folder / "transcript.txt")
        self._scale = dict(scale or {})
        self._options = dict(options or {})
        self._mark = new_mark()
        self._base = {"PATH": SYSTEM, MARK: self._mark}
        self._logs = folder / "containers"
        for path in (self._logs, *(self.volumes / name for name in file.volumes)):
            path.mkdir(parents=True, exist_ok=True)
        self._network = Network(self._logs, environment=self._base)
        self._lock = threading.RLock()
        self._numbers: dict[str, int] = {}
        self._meter = Meter(lambda: list(self.containers))
        self._failed = threading.Event()
        self._database: dict[str, Any] = {}
        self.containers: list[Container] = []

    # --- Start and stop

    def up(self) -> ComposeStack:
        """Start each service as soon as its `depends_on` conditions hold; wait until all are healthy or have completed."""
        started, ready = ({name: threading.Event() for name in self.file.services} for _ in range(2))
        errors: list[BaseException] = []

        def start(service: Service) -> None:
            try:
                for needed, condition in service.depends_on.items():
                    (started if condition == "service_started" else ready)[needed].wait()
                if not self._failed.is_set():
                    self._start(service, started[service.name])
            except BaseException as error:  # noqa: BLE001 (raised again in the waiting thread)
                errors.append(error)
                self._failed.set()
                self.transcript.log(service.name, f"failed: {str(error).splitlines()[0]}")
            finally:
                started[service.name].set()
                ready[service.name].set()

        threads = [threading.Thread(target=start, args=(service,), name=service.name) for service in self.file.in_order()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        self._meter.start()
        return self

    def down(self) -> None:
        """Stop and remove all containers. The volumes are kept."""
        self._meter.stop()
        for name, usage in sorted(self._meter.read().items()):
            self.transcript.log(name, f"used {usage.cpu:.1f} s of CPU, {usage.peak / 1e6:.0f} MB at most")
        for container in reversed(self.containers):
            container.remove()
        self.containers.clear()
        self._network.close()
        kill_marked(self._mark)

    def __enter__(self) -> ComposeStack:
        try:
            return self.up()
        except BaseException:
            self.down()
            raise

    def __exit__(self, *exc: object) -> None:
        self.down()

    # --- Containers

    def replicas(self, service: str) -> list[Container]:
        with self._lock:
            return [container for container in self.containers if container.service == service]

    def scale(self, service: str, replicas: int) -> None:
        """Change the number of replicas of a service, as `docker compose up --scale` does, and wait until they are healthy."""
        running = self.replicas(service)
        for container in running[replicas:]:
            container.stop(grace=self.file.services[service].stop_grace_period)
            self._remove(container)
        new = [self._add(self.file.services[service]) for _ in range(replicas - len(running))]
        for container in new:
            self.wait_until_healthy(container)

    def kill(self, container: Container) -> None:
        """Kill all processes of a container, as when its machine dies."""
        container.kill()
        self.transcript.log(container.name, "killed")

    def restart(self, container: Container) -> None:
        """Start a container that has ended, and wait until it is healthy."""
        container.start()
        self.transcript.log(container.name, "started again")
        self.wait_until_healthy(container)

    def wait_until_healthy(self, container: Container) -> None:
        """Wait until the service's healthcheck succeeds in the container."""
        check = self.file.services[container.service].healthcheck
        if check is None:
            return
        deadline = time.monotonic() + check.unhealthy_after
        while True:
            if not container.alive:
                raise NotHealthy(f"{container.name} has ended\n{container.tail(30)}")
            if not (problem := self.health_problem(container)):
                self.transcript.log(container.name, "healthy")
                return
            if self._failed.is_set():
                raise NotHealthy(f"{container.name} was not awaited because another container failed")
            if time.monotonic() > deadline:
                raise NotHealthy(
                    f"{container.name} is unhealthy after {check.unhealthy_after:.0f} s: {problem}\n{container.tail(30)}"
                )
            time.sleep(HEALTH_INTERVAL)

    def health_problem(self, container: Container) -> str:
        """What the container's healthcheck reports now; an empty text if it is healthy."""
        check = self.file.services[container.service].healthcheck
        assert check is not None
        try:
            result = container.execute(check.test, timeout=check.timeout)
        except subprocess.TimeoutExpired:
            return f"no answer within {check.timeout:.0f} s"
        return "" if result.returncode == 0 else f"exit {result.returncode}: {result.stdout[-500:]}{result.stderr[-500:]}"

    def publish(self, service: str, port: int) -> int:
        """Publish a port of a service that the file does not publish. Returns the port on this machine."""
        return self._network.publish(self.replicas(service)[0].address, port)

    # --- Airflow

    @property
    def emulator_url(self) -> str:
        return self.published("kling-emulator")

    def published(self, service: str) -> str:
        """The URL of the only port that a service publishes."""
        (port,) = self.file.services[service].ports
        return f"http://{port.address}:{port.published}"

    def log_in_as_admin(self) -> None:
        """Use Airflow's REST API as the user that the compose file creates."""
        self.url = self.published("airflow-apiserver")
        self.log_in("admin", self.file.services["airflow-init"].environment["ADMIN_PASSWORD"])

    def airflow(self, *arguments: str, service: str = "airflow-scheduler", timeout: float = 120) -> str:
        """Run an Airflow command in a container and return its output: `airflow("backfill", "create", …)`."""
        result = self.replicas(service)[0].execute(["airflow", *arguments], timeout=timeout)
        assert result.returncode == 0, (arguments, result.stdout[-1500:], result.stderr[-1500:])
        return result.stdout

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            if not self._database:
                postgres = self.file.services["postgres"].environment
                self._database = {
                    "host": "127.0.0.1",
                    "port": self.publish("postgres", 5432),
                    "user": postgres["POSTGRES_USER"],
                    "password": postgres["POSTGRES_PASSWORD"],
                    "dbname": postgres["POSTGRES_DB"],
                }
        connection = psycopg2.connect(**self._database)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query, values)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def log_tails(self) -> str:
        return "\n".join(f"=== {container.name}\n{container.tail()}" for container in self.containers)

    def host_path(self, path: str, *, service: str = "airflow-worker") -> Path:
        """The path on this machine of a path in a container."""
        for mount in self._mounts(self.file.services[service]):
            if path == mount.target or path.startswith(f"{mount.target}/"):
                return Path(mount.source + path[len(mount.target) :])
        raise LookupError(f"{path} is in no volume of {service}")

    def usage(self) -> dict[str, Usage]:
        """What each service has used since all of them started."""
        return self._meter.read()

    # --- A single service

    def _start(self, service: Service, started: threading.Event) -> None:
        """Start the replicas of a service; wait until they are healthy, or have completed if another service needs that."""
        count = self._scale.get(service.name, service.replicas)
        containers = [self._add(service) for _ in range(count)]
        started.set()
        conditions = {other.depends_on.get(service.name) for other in self.file.services.values()}
        if "service_completed_successfully" in conditions:
            for container in containers:
                code = container.process.wait()
                self.transcript.log(container.name, f"ended with exit code {code}")
                if code:
                    raise NotHealthy(f"{container.name} ended with exit code {code}\n{container.tail(30)}")
                self._remove(container)
            return
        for container in containers:
            self.wait_until_healthy(container)
        for port in service.ports:
            self._network.publish(containers[0].address, port.target, on=port.address or "0.0.0.0", port=port.published)
            self.transcript.log(service.name, f"published on {port.address}:{port.published}")

    def _add(self, service: Service) -> Container:
        image = image_of(service)
        environment = {**self._base, **image.environment, **service.environment}
        if "AIRFLOW__CORE__EXECUTOR" in service.environment:
            environment |= self._options
        with self._lock:
            self._numbers[service.name] = number = self._numbers.get(service.name, 0) + 1
            container = Container(
                f"{service.name}-{number}",
                service.name,
                image.command(service),
                environment=environment,
                mounts=self._mounts(service),
                network=self._network,
                folder=self._logs,
                workdir=image.workdir,
            )
            self.containers.append(container)
        container.start()
        self.transcript.log(container.name, "started")
        return container

    def _remove(self, container: Container) -> None:
        container.remove()
        with self._lock:
            self.containers.remove(container)
        self._meter.removed(container)
        self.transcript.log(container.name, "removed")

    def _mounts(self, service: Service) -> list[Mount]:
        return [replace(mount, source=str(self.volumes / mount.source)) if mount.named else mount for mount in service.mounts]
