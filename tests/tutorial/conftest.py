"""One walk for all pages. The package is installed from this checkout, as a wheel, into the environment that the tutorial makes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from walk import ROOT, Walk

LOCK = ROOT / ".ci" / "tutorial.lock"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", action="store_true", help="take the pictures of the tutorial again (needs chromium)")


@pytest.fixture(scope="session")
def walk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("tutorial")
    uv = Path(sys.executable).parent / "uv"
    build = [uv, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*build, "--out-dir", folder / "dist", ROOT], check=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    install = f"{uv} pip install --quiet --python venv/bin/python --constraint {LOCK}"
    walk = Walk(folder, {"pip install": install, '"airflow-provider-kling[': f'"{wheel}['})
    if request.config.getoption("--pictures"):
        from camera import Camera

        walk.look = Camera(walk)
    try:
        yield walk
    finally:
        walk.close()
