"""One walk for all pages. The package is installed from this checkout, as a wheel, into the environment that the tutorial makes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from walk import ROOT, Walk

LOCK = ROOT / ".ci" / "tutorial.lock"


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("tutorial")
    uv = Path(sys.executable).parent / "uv"
    build = [uv, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder / "dist", ROOT]
    subprocess.run(build, check=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    install = f"{uv} pip install --quiet --python venv/bin/python --constraint {LOCK} --compile-bytecode"
    walk = Walk(folder, {"pip install": install, '"airflow-provider-kling[': f'"{wheel}['})
    try:
        yield walk
    finally:
        walk.close()
