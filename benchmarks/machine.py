"""What the machine is, and what processes have cost on it."""

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
    """Under what a measurement is made."""
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
    """The seconds of processor time that these processes and all that they have started have used."""
    total = 0.0
    for root in roots:
        with contextlib.suppress(psutil.Error):
            for process in [root, *root.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    # Of children that have ended; those that live are among the processes.
                    total += times.user + times.system + times.children_user + times.children_system
    return total


def process_of(word: str) -> psutil.Process:
    """The newest process that this one has started with this word in its command."""
    found = [one for one in psutil.Process().children() if any(word in part for part in one.cmdline())]
    return max(found, key=lambda one: one.create_time())
