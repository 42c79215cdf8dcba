"""Measures the CPU time and memory of services, every two seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from containers import Container


@dataclass
class Usage:
    """CPU seconds of all processes of a service, and the peak of their memory in bytes."""

    cpu: float = 0.0
    peak: int = 0


class Meter:
    """Measures containers in a thread. A process that starts and ends between two samples is not counted."""

    def __init__(self, containers: Callable[[], list[Container]]) -> None:
        self._containers = containers
        self._usage: dict[str, Usage] = {}
        self._removed_cpu: dict[str, float] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usage", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def read(self) -> dict[str, Usage]:
        """What each service has used so far."""
        self._sample()
        with self._lock:
            return {name: replace(usage) for name, usage in self._usage.items()}

    def removed(self, container: Container) -> None:
        """Keep counting the CPU seconds of a container that is removed."""
        with self._lock:
            self._removed_cpu[container.service] = self._removed_cpu.get(container.service, 0) + container.cpu

    def _run(self) -> None:
        while not self._stopped.wait(2):
            self._sample()

    def _sample(self) -> None:
        memory: dict[str, int] = {}
        cpu: dict[str, float] = {}
        for container in self._containers():
            seconds, used = container.sample()
            memory[container.service] = memory.get(container.service, 0) + used
            cpu[container.service] = cpu.get(container.service, 0) + seconds
        with self._lock:
            for name, used in memory.items():
                usage = self._usage.setdefault(name, Usage())
                usage.peak = max(usage.peak, used)
                usage.cpu = max(usage.cpu, cpu[name] + self._removed_cpu.get(name, 0))
