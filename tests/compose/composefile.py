"""A compose file as values: its services, validated as Compose does before it starts anything."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from interpolation import ComposeError, interpolate, read_env

CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
SUPPORTED = {
    *("image", "build", "command", "entrypoint", "environment", "volumes", "ports", "depends_on", "healthcheck"),
    *("deploy", "restart", "stop_grace_period", "profiles"),
}


@dataclass(frozen=True)
class Healthcheck:
    test: list[str]
    interval: float
    timeout: float
    retries: int
    start_period: float

    @property
    def unhealthy_after(self) -> float:
        """Seconds until a container that was never healthy counts as unhealthy."""
        return self.start_period + self.retries * (self.interval + self.timeout)


@dataclass(frozen=True)
class Mount:
    source: str  # a named volume, or a folder of this machine
    target: str
    read_only: bool
    named: bool


@dataclass(frozen=True)
class Port:
    address: str  # on this machine; empty for all of its addresses
    published: int
    target: int


@dataclass(frozen=True)
class Service:
    name: str
    image: str
    built: bool
    command: list[str]
    environment: dict[str, str]
    mounts: list[Mount]
    ports: list[Port]
    depends_on: dict[str, str]
    healthcheck: Healthcheck | None
    replicas: int
    restart: str
    stop_grace_period: float


@dataclass(frozen=True)
class ComposeFile:
    path: Path
    services: dict[str, Service]
    volumes: set[str]  # all, also of profiles that are off
    raw: dict[str, Any] = field(repr=False)

    def in_order(self) -> list[Service]:
        """The services, each after the ones that it depends on."""
        done: dict[str, Service] = {}

        def visit(name: str, dependents: tuple[str, ...]) -> None:
            if name in dependents:
                raise ComposeError(f"services wait for each other: {' → '.join([*dependents, name])}")
            for needed in self.services[name].depends_on:
                visit(needed, (*dependents, name))
            done.setdefault(name, self.services[name])

        for name in self.services:
            visit(name, ())
        return list(done.values())


def load(path: Path, env_file: Path, *, profiles: Collection[str] = ()) -> ComposeFile:
    """Read the file with the variables of `env_file`, and of the profiles those that are on. ComposeError if it cannot be run."""
    raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    content = interpolate(raw, read_env(env_file))
    volumes = set(content.get("volumes") or {})
    services = {name: _service(name, body, path.parent) for name, body in content["services"].items() if _is_on(body, profiles)}
    for service in services.values():
        for needed, condition in service.depends_on.items():
            if needed not in services:
                raise ComposeError(f"{service.name} depends on {needed}, which is not a service")
            if condition not in CONDITIONS:
                raise ComposeError(f"{service.name} depends on {needed}: no condition is called {condition}")
            if condition == "service_healthy" and services[needed].healthcheck is None:
                raise ComposeError(f"{service.name} waits until {needed} is healthy, but {needed} has no healthcheck")
        for mount in service.mounts:
            if mount.named and mount.source not in volumes:
                raise ComposeError(f"{service.name} mounts {mount.source}, which stands in no `volumes`")
            if not mount.named and not Path(mount.source).exists():
                raise ComposeError(f"{service.name} mounts {mount.source}, which does not exist")
    file = ComposeFile(path=path, services=services, volumes=volumes, raw=raw)
    file.in_order()
    return file


def _is_on(body: Mapping[str, Any], profiles: Collection[str]) -> bool:
    return not body.get("profiles") or not set(profiles).isdisjoint(body["profiles"])


def parse_duration(duration: str) -> float:
    """The seconds of a duration of Compose: 10s, 2m, 1m30s."""
    parts = re.findall(r"(\d+)(ms|s|m|h)", str(duration))
    if not parts or "".join(map("".join, parts)) != str(duration):
        raise ComposeError(f"not a duration: {duration!r}")
    return sum(int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit] for number, unit in parts)


def _service(name: str, body: Mapping[str, Any], folder: Path) -> Service:
    if unknown := set(body) - SUPPORTED:
        raise ComposeError(f"{name}: these tests do not support {', '.join(sorted(unknown))}")
    if "entrypoint" in body:
        raise ComposeError(f"{name}: these tests run only the images' own entrypoints")
    command = body.get("command") or []
    return Service(
        name=name,
        image=body["image"],
        built="build" in body,
        command=shlex.split(command) if isinstance(command, str) else [str(word) for word in command],
        environment=_environment(name, body.get("environment") or {}),
        mounts=[_mount(name, text, folder) for text in body.get("volumes") or []],
        ports=[_port(name, text) for text in body.get("ports") or []],
        depends_on=_depends_on(body.get("depends_on") or {}),
        healthcheck=_healthcheck(name, body.get("healthcheck")),
        replicas=int((body.get("deploy") or {}).get("replicas", 1)),
        restart=body.get("restart", "no"),
        stop_grace_period=parse_duration(body.get("stop_grace_period", "10s")),
    )


def _environment(name: str, body: Any) -> dict[str, str]:
    if not isinstance(body, dict):
        raise ComposeError(f"{name}: environment must be a mapping")
    if invalid := [key for key, value in body.items() if not isinstance(value, str)]:
        raise ComposeError(f"{name}: environment values must be strings: {', '.join(invalid)}")
    return dict(body)


def _mount(name: str, text: str, folder: Path) -> Mount:
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not target.startswith("/") or mode not in ("", "ro", "rw"):
        raise ComposeError(f"{name}: not a volume in the short form: {text!r}")
    named = not source.startswith((".", "/", "~"))
    return Mount(source if named else str((folder / source).resolve()), target, mode == "ro", named)


def _port(name: str, text: str) -> Port:
    *address, published, target = str(text).rsplit(":", 2)
    try:
        return Port("".join(address), int(published), int(target))
    except ValueError:
        raise ComposeError(f"{name}: not a port in the short form: {text!r}") from None


def _depends_on(body: Any) -> dict[str, str]:
    if isinstance(body, list):
        return dict.fromkeys(body, "service_started")
    return {name: options.get("condition", "service_started") for name, options in body.items()}


def _healthcheck(name: str, body: Mapping[str, Any] | None) -> Healthcheck | None:
    if body is None:
        return None
    test = body["test"]
    if not isinstance(test, list) or test[0] not in ("CMD", "CMD-SHELL") or (test[0] == "CMD-SHELL" and len(test) != 2):
        raise ComposeError(f'{name}: a healthcheck must be ["CMD", …] or ["CMD-SHELL", "…"]')
    return Healthcheck(
        test=list(test[1:]) if test[0] == "CMD" else ["/bin/sh", "-c", test[1]],
        interval=parse_duration(body.get("interval", "30s")),
        timeout=parse_duration(body.get("timeout", "30s")),
        retries=int(body.get("retries", 3)),
        start_period=parse_duration(body.get("start_period", "0s")),
    )


class _Loader(yaml.SafeLoader):
    """YAML as Compose reads it: a duplicate key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        if duplicates := {key for key in keys if keys.count(key) > 1}:
            raise ComposeError(f"{', '.join(map(str, duplicates))} stands twice, before line {node.end_mark.line + 1}")
        return super().construct_mapping(node, deep=deep)
