"""The services of docker-compose.yaml, started once for all tests of a session."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "stack"))

from compose_stack import ComposeStack
from composefile import ComposeFile, load
from places import ROOT
from processes import free_port

# Airflow waits five minutes for a heartbeat of a task; the tests kill some tasks.
SHORT_TIMEOUTS = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--build-folder", type=Path, default=ROOT / "build" / "compose", help="folder for logs and results")
    parser.addoption("--dates", type=int, default=4, help="dates of the backfill in test_month")
    parser.addoption("--rows", type=int, default=8, help="rows of each date's manifest in test_month")
    parser.addoption("--slots", default="8", help="slots of the emulator")
    parser.addoption("--seconds", default="4", help="seconds of a Kling task")
    parser.addoption("--workers", type=int, default=1, help="replicas of airflow-worker")


@pytest.fixture(scope="session", autouse=True)
def _require_root() -> None:
    if os.geteuid():
        pytest.exit("The services run in Linux namespaces, which need root.", returncode=2)


@pytest.fixture(scope="session")
def build(request: pytest.FixtureRequest) -> Path:
    """The folder for all files of this session."""
    folder = request.config.getoption("--build-folder").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def make_env() -> Callable[..., Path]:
    """Creates `.env` in a folder with docker/make_env.py, then sets free ports and the given variables."""

    def make(folder: Path, **changes: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, str(ROOT / "docker" / "make_env.py"), str(folder)], check=True, capture_output=True)
        changes = {"AIRFLOW_PORT": str(free_port()), "KLING_EMULATOR_PORT": str(free_port()), **changes}
        path = folder / ".env"
        lines = path.read_text().splitlines()
        for name, value in changes.items():
            (number,) = [number for number, line in enumerate(lines) if line.startswith(f"{name}=")]
            lines[number] = f"{name}={value}"
        path.write_text("\n".join(lines) + "\n")
        return path

    return make


@pytest.fixture(scope="session")
def manifests(build: Path) -> Path:
    """The folder of manifests: a copy of the demo, to which tests add their own."""
    return Path(shutil.copytree(ROOT / "demo", build / "manifests"))


@pytest.fixture(scope="session")
def compose_file(request: pytest.FixtureRequest, build: Path, manifests: Path, make_env: Callable[..., Path]) -> ComposeFile:
    """The project's compose file with a new `.env`."""
    option = request.config.getoption
    changes = {
        "MANIFESTS": str(manifests),
        "KLING_EMULATOR_DURATION": option("--seconds"),
        "KLING_EMULATOR_SLOTS": option("--slots"),
    }
    return load(ROOT / "docker-compose.yaml", make_env(build / "env", **changes))


@pytest.fixture(scope="session")
def compose_stack(request: pytest.FixtureRequest, compose_file: ComposeFile, build: Path) -> Iterator[ComposeStack]:
    """The running services, all of them healthy."""
    scale = {"airflow-worker": request.config.getoption("--workers")}
    with ComposeStack(compose_file, build, scale=scale, options=SHORT_TIMEOUTS) as compose_stack:
        compose_stack.log_in_as_admin()
        yield compose_stack
