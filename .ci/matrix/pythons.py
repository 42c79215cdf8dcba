"""Where a Python is: on this machine, or brought by uv."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class MissingPython(Exception):
    """This machine lacks a Python, and uv cannot bring it. The text says why."""


def find_python(uv: str, version: str) -> Path:
    """The interpreter of this version. Raises MissingPython."""
    if found := _find(uv, version):
        return found
    installed = subprocess.run([uv, "python", "install", version], capture_output=True, text=True, timeout=900, check=False)
    if installed.returncode == 0 and (found := _find(uv, version)):
        return found
    reasons = [line.strip() for line in installed.stderr.splitlines() if line.strip()]
    raise MissingPython(f"not on this machine, and uv cannot bring it: {reasons[-1] if reasons else 'it says nothing'}")


def _find(uv: str, version: str) -> Path | None:
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    # pyenv's shims refuse versions that are not chosen in this folder, so uv looks into pyenv's folders itself.
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [str(folder) for folder in sorted(pyenv.glob(f"versions/{version}.*/bin"))]
    environment["PATH"] = os.pathsep.join([*folders, environment.get("PATH", "")])
    command = [uv, "python", "find", "--no-project", "--system", version]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return Path(found.stdout.strip()) if found.returncode == 0 else None
