"""The stack of docker-compose.yaml, once for all tests of a session."""

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

from composed import Composed
from composefile import ComposeFile, load
from places import ROOT
from processes import free_port


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--build-folder", type=Path, default=ROOT / "build" / "compose", help="where logs and results go")


@pytest.fixture(scope="session", autouse=True)
def _allowed() -> None:
    if os.geteuid():
        pytest.exit("The services run in namespaces of Linux, which takes root.", returncode=2)


@pytest.fixture(scope="session")
def build(request: pytest.FixtureRequest) -> Path:
    """The folder for all that this session leaves."""
    folder = request.config.getoption("--build-folder").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def make_env() -> Callable[..., Path]:
    """Lets the script write `.env` into a folder, with free ports, and changes what is named."""

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
    """The folder of manifests: the demo's, to which tests may add."""
    return Path(shutil.copytree(ROOT / "demo", build / "manifests"))


@pytest.fixture(scope="session")
def compose_file(build: Path, manifests: Path, make_env: Callable[..., Path]) -> ComposeFile:
    """The project's file, with a new `.env`."""
    changes = {"MANIFESTS": str(manifests), "KLING_EMULATOR_DURATION": "4", "KLING_EMULATOR_SLOTS": "8"}
    return load(ROOT / "docker-compose.yaml", make_env(build / "env", **changes))


@pytest.fixture(scope="session")
def composed(compose_file: ComposeFile, build: Path) -> Iterator[Composed]:
    """The file's services, all of them healthy."""
    with Composed(compose_file, build) as composed:
        composed.log_in_as_admin()
        yield composed
