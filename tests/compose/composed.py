"""The stack of docker-compose.yaml, running: what `docker compose up` would start, in containers without an engine."""

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
from processes import MARK, end_marked, new_mark
from usage import Meter, Usage

PAUSE = 1.0  # seconds between two looks at a container's health while somebody waits; Compose's `interval` is longer


class NotHealthy(Exception):
    """A service did not come up as the file says; the text has its log."""


class Transcript:
    """What happened when: printed nowhere, written to a file line by line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = time.monotonic()
        self._lock = threading.Lock()

    def tell(self, who: str, what: str) -> None:
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(f"{time.monotonic() - self._start:7.1f} s  {who:24}  {what}\n")


class Composed(Airflow):
    """The services of a compose file, each with its replicas.

    `folder` takes the named volumes, the logs of the containers and the transcript. `scale` is Compose's `--scale`;
    `options` are further variables for Airflow's services, for tests that cannot wait as long as people.
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
        for made in (self._logs, *(self.volumes / name for name in file.volumes)):
            made.mkdir(parents=True, exist_ok=True)
        self._network = Network(self._logs, environment=self._base)
        self._lock = threading.RLock()
        self._numbers: dict[str, int] = {}
        self._meter = Meter(lambda: list(self.containers))
        self._failed = threading.Event()
        self._database: dict[str, Any] = {}
        self.containers: list[Container] = []

    # --- Up and down

    def up(self) -> Composed:
        """Start every service as soon as its conditions hold; wait until all are well, or have ended well."""
        started, well = ({name: threading.Event() for name in self.file.services} for _ in range(2))
        troubles: list[BaseException] = []

        def bring(service: Service) -> None:
            try:
                for needed, condition in service.depends_on.items():
                    (started if condition == "service_started" else well)[needed].wait()
                if not self._failed.is_set():
                    self._bring(service, started[service.name])
            except BaseException as trouble:  # noqa: BLE001 (told by the thread that waits)
                troubles.append(trouble)
                self._failed.set()
                self.transcript.tell(service.name, f"failed: {str(trouble).splitlines()[0]}")
            finally:
                started[service.name].set()
                well[service.name].set()

        threads = [threading.Thread(target=bring, args=(service,), name=service.name) for service in self.file.in_order()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if troubles:
            raise troubles[0]
        self._meter.start()
        return self

    def down(self) -> None:
        """End and remove all containers; the volumes stay."""
        self._meter.stop()
        for name, used in sorted(self._meter.read().items()):
            self.transcript.tell(name, f"used {used.cpu:.1f} s of CPU, {used.peak / 1e6:.0f} MB at most")
        for container in reversed(self.containers):
            container.remove()
        self.containers.clear()
        self._network.close()
        end_marked(self._mark)

    def __enter__(self) -> Composed:
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
        """Have so many replicas of a service, as `docker compose up --scale` does; returns when they are well."""
        running = self.replicas(service)
        for container in running[replicas:]:
            container.stop(grace=self.file.services[service].stop_grace_period)
            self._forget(container)
        new = [self._add(self.file.services[service]) for _ in range(replicas - len(running))]
        for container in new:
            self.await_healthy(container)

    def kill(self, container: Container) -> None:
        """End a container at once with all its processes, as when its machine dies."""
        container.kill()
        self.transcript.tell(container.name, "killed")

    def restart(self, container: Container) -> None:
        """Start a container that has ended, and wait until it is well."""
        container.start()
        self.transcript.tell(container.name, "started again")
        self.await_healthy(container)

    def await_healthy(self, container: Container) -> None:
        """Wait until the healthcheck, as the file has it, succeeds in the container."""
        check = self.file.services[container.service].healthcheck
        if check is None:
            return
        deadline = time.monotonic() + check.patience
        told = ""
        while True:
            if not container.alive:
                raise NotHealthy(f"{container.name} has ended\n{container.tail(30)}")
            if not (told := self.ill(container)):
                self.transcript.tell(container.name, "healthy")
                return
            if self._failed.is_set():
                raise NotHealthy(f"{container.name} is not waited for: another has failed")
            if time.monotonic() > deadline:
                raise NotHealthy(f"{container.name} is unhealthy after {check.patience:.0f} s: {told}\n{container.tail(30)}")
            time.sleep(PAUSE)

    def ill(self, container: Container) -> str:
        """What the container's healthcheck complains of now; nothing if it is healthy."""
        check = self.file.services[container.service].healthcheck
        assert check is not None
        try:
            done = container.execute(check.test, timeout=check.timeout)
        except subprocess.TimeoutExpired:
            return f"no answer within {check.timeout:.0f} s"
        return "" if done.returncode == 0 else f"exit {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"

    def publish(self, service: str, port: int) -> int:
        """Lead a port of this machine to one of a service that the file does not publish; returns it."""
        return self._network.publish(self.replicas(service)[0].address, port)

    # --- Airflow

    @property
    def emulator_url(self) -> str:
        return self.published("kling-emulator")

    def published(self, service: str) -> str:
        """The URL of the one port that a service publishes."""
        (port,) = self.file.services[service].ports
        return f"http://{port.address}:{port.published}"

    def log_in_as_admin(self) -> None:
        """Use Airflow's REST API as the user that the file makes."""
        self.url = self.published("airflow-apiserver")
        self.log_in("admin", self.file.services["airflow-init"].environment["ADMIN_PASSWORD"])

    def airflow(self, *arguments: str, service: str = "airflow-scheduler", timeout: float = 120) -> str:
        """What a command of Airflow prints, run in a container: `airflow("backfill", "create", …)`."""
        done = self.replicas(service)[0].execute(["airflow", *arguments], timeout=timeout)
        assert done.returncode == 0, (arguments, done.stdout[-1500:], done.stderr[-1500:])
        return done.stdout

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

    def tails(self) -> str:
        return "\n".join(f"=== {container.name}\n{container.tail()}" for container in self.containers)

    def inside(self, path: str, *, service: str = "airflow-worker") -> Path:
        """Where a path of a container is on this machine."""
        for mount in self._mounts(self.file.services[service]):
            if path == mount.target or path.startswith(f"{mount.target}/"):
                return Path(mount.source + path[len(mount.target) :])
        raise LookupError(f"{path} is in no volume of {service}")

    def usage(self) -> dict[str, Usage]:
        """What each service has used since all came up."""
        return self._meter.read()

    # --- One service

    def _bring(self, service: Service, started: threading.Event) -> None:
        count = self._scale.get(service.name, service.replicas)
        containers = [self._add(service) for _ in range(count)]
        started.set()
        waited_for = {other.depends_on.get(service.name) for other in self.file.services.values()}
        if "service_completed_successfully" in waited_for:
            for container in containers:
                code = container.process.wait()
                self.transcript.tell(container.name, f"ended with exit code {code}")
                if code:
                    raise NotHealthy(f"{container.name} ended with exit code {code}\n{container.tail(30)}")
                self._forget(container)
            return
        for container in containers:
            self.await_healthy(container)
        for port in service.ports:
            self._network.publish(containers[0].address, port.target, on=port.address or "0.0.0.0", port=port.published)
            self.transcript.tell(service.name, f"published on {port.address}:{port.published}")

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
        self.transcript.tell(container.name, "started")
        return container

    def _forget(self, container: Container) -> None:
        container.remove()
        with self._lock:
            self.containers.remove(container)
        self._meter.removed(container)
        self.transcript.tell(container.name, "removed")

    def _mounts(self, service: Service) -> list[Mount]:
        return [replace(mount, source=str(self.volumes / mount.source)) if mount.named else mount for mount in service.mounts]
