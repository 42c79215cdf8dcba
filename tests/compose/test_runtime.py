"""Runs a small compose file, and versions of it with one error each, which must fail."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import psutil
import pytest
from compose_stack import ComposeStack, NotHealthy
from composefile import load
from processes import free_port

SMALL = """
services:
  cache:
    image: redis:7.2-bookworm
    command: ["redis-server", "--requirepass", "${SECRET:?set it}"]
    environment: {REDISCLI_AUTH: "${SECRET}"}
    healthcheck:
      test: ["CMD-SHELL", "redis-cli -h localhost ping | grep PONG"]
      {interval: 1s, timeout: 5s, retries: 2}
  kling:
    build: .
    image: any:1
    command: python -m airflow_provider_kling.emulator
    environment: {KLING_EMULATOR_HOST: 0.0.0.0, KLING_EMULATOR_PORT: "8900", HERE: "$$HOSTNAME"}
    depends_on:
      cache: {condition: service_healthy}
    ports: ["127.0.0.1:${PORT}:8900"]
    volumes: [found:/opt/airflow/found, "./given:/opt/airflow/given:ro"]
    healthcheck:
      test: ["CMD", "curl", "--fail", "--silent", "http://localhost:8900/_emulator/state"]
      interval: 1s
      timeout: 1s
      retries: 5
volumes:
  found:
""".replace("{interval: 1s, timeout: 5s, retries: 2}", "interval: 1s\n      timeout: 2s\n      retries: 2")


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., ComposeStack]:
    """Creates the small stack, with some text of its file replaced."""

    def make(changes: Mapping[str, str] = MappingProxyType({})) -> ComposeStack:
        text = SMALL
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "given").mkdir()
        (tmp_path / ".env").write_text(f"SECRET='a-secret'\nPORT={free_port()}\n")
        (tmp_path / "compose.yaml").write_text(text)
        return ComposeStack(load(tmp_path / "compose.yaml", tmp_path / ".env"), tmp_path)

    return make


def test_services_are_isolated_from_the_machine(small):
    with small() as compose_stack:
        (kling,), (cache,) = compose_stack.replicas("kling"), compose_stack.replicas("cache")
        result = kling.execute(["bash", "-c", 'hostname; echo "$HOSTNAME $HERE"; getent hosts cache; ls /opt/airflow'], timeout=20)
        assert result.stdout.split() == [kling.hostname] * 2 + ["$HOSTNAME", cache.address, "cache", "found", "given"]
        assert kling.execute(["bash", "-c", "echo x > found/x"], timeout=20).returncode == 0
        assert (compose_stack.volumes / "found" / "x").read_text() == "x\n"
        assert kling.execute(["bash", "-c", "echo x > given/x"], timeout=20).returncode != 0
        assert urllib.request.urlopen(f"{compose_stack.published('kling')}/_emulator/ledger", timeout=10).read() == b"[]"  # noqa: S310
        listening = {c.laddr for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        assert {address.ip for address in listening if address.port == compose_stack.file.services["kling"].ports[0].published} == {
            "127.0.0.1"
        }
        processes = kling.processes() + cache.processes()
        assert len(processes) >= 2
    assert not psutil.wait_procs(processes, timeout=5)[1]
    assert "healthy" in (compose_stack.folder / "transcript.txt").read_text()


@pytest.mark.parametrize(("condition", "first"), [("service_healthy", "cache-1"), ("service_started", "kling-1")])
def test_a_service_waits_for_its_condition_only(small, condition, first):
    command = '["redis-server", "--requirepass", "${SECRET:?set it}"]'
    late_command = '["sh", "-c", "sleep 2; exec redis-server --requirepass $$REDISCLI_AUTH"]'
    with small({command: late_command, "condition: service_healthy": f"condition: {condition}"}) as compose_stack:
        lines = [line.split()[2:] for line in (compose_stack.folder / "transcript.txt").read_text().splitlines()]
    moments = {"cache-1": lines.index(["cache-1", "healthy"]), "kling-1": lines.index(["kling-1", "started"])}
    assert min(moments, key=moments.get) == first


def test_a_killed_container_comes_back_under_its_name(small):
    with small() as compose_stack:
        (kling,) = compose_stack.replicas("kling")
        compose_stack.kill(kling)
        assert not kling.processes()
        assert compose_stack.health_problem(kling)
        compose_stack.restart(kling)
        compose_stack.scale("cache", 2)
        assert len({cache.hostname for cache in compose_stack.replicas("cache")}) == 2
        compose_stack.scale("cache", 1)
        assert len(compose_stack.replicas("cache")) == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('REDISCLI_AUTH: "${SECRET}"', 'REDISCLI_AUTH: "wrong"', "cache-1 is unhealthy"),
        ("0.0.0.0", "no.such.host", "kling-1 has ended"),
        ("airflow_provider_kling.emulator", "airflow_provider_klong", "kling-1 has ended"),
        ("http://localhost:8900", "http://localhost:8901", "kling-1 is unhealthy"),
    ],
)
def test_an_error_is_found_when_it_runs(small, old, new, message):
    compose_stack = small({old: new})
    with pytest.raises(NotHealthy, match=message), compose_stack:
        pass
    assert not compose_stack.containers
    with socket.create_server(("127.0.0.1", compose_stack.file.services["kling"].ports[0].published)):
        pass
