"""What services use: CPU seconds and memory, looked at every two seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from containers import Container


@dataclass
class Usage:
    """CPU seconds of all processes of a service, and the most bytes of memory they held at once."""

    cpu: float = 0.0
    peak: int = 0


class Meter:
    """Measures containers in a thread of its own. A process that lives between two looks only is not counted."""

    def __init__(self, containers: Callable[[], list[Container]]) -> None:
        self._containers = containers
        self._usage: dict[str, Usage] = {}
        self._gone: dict[str, float] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usage", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def read(self) -> dict[str, Usage]:
        """What each service has used so far."""
        self._look()
        with self._lock:
            return {name: replace(usage) for name, usage in self._usage.items()}

    def removed(self, container: Container) -> None:
        """What a container has used still counts when it is gone."""
        with self._lock:
            self._gone[container.service] = self._gone.get(container.service, 0) + container.cpu

    def _run(self) -> None:
        while not self._end.wait(2):
            self._look()

    def _look(self) -> None:
        held: dict[str, int] = {}
        cpu: dict[str, float] = {}
        for container in self._containers():
            seconds, memory = container.sample()
            held[container.service] = held.get(container.service, 0) + memory
            cpu[container.service] = cpu.get(container.service, 0) + seconds
        with self._lock:
            for name, memory in held.items():
                usage = self._usage.setdefault(name, Usage())
                usage.peak = max(usage.peak, memory)
                usage.cpu = max(usage.cpu, cpu[name] + self._gone.get(name, 0))
