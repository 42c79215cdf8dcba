"""The properties of the machine, and the CPU time of processes."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterable
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

import psutil

PACKAGES = ("apache-airflow", "airflow-provider-kling", "aiohttp", "SQLAlchemy")


def conditions() -> dict[str, Any]:
    """The conditions of a measurement: the machine, its load and the versions."""
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: version(name) for name in PACKAGES},
    }


def cpu(roots: Iterable[psutil.Process]) -> float:
    """The CPU seconds of these processes and all their descendants."""
    total = 0.0
    for root in roots:
        with contextlib.suppress(psutil.Error):
            for process in [root, *root.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    # The children_* times are those of children that have ended; running ones are in the list.
                    total += times.user + times.system + times.children_user + times.children_system
    return total


def newest_child(word: str) -> psutil.Process:
    """The newest child process whose command contains this word."""
    found = [child for child in psutil.Process().children() if any(word in part for part in child.cmdline())]
    return max(found, key=lambda child: child.create_time())
