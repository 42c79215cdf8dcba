"""How many requests each fault hit, how many of them were paid twice, and how many were lost."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class FaultCount:
    """What became of the requests that one fault hit in one test."""

    test: str
    requests: int = 0
    paid_twice: int = 0
    lost: int = 0


@dataclass
class Tally:
    """The counts of all faults of a session. Each change is written to disk, so that an aborted session keeps its counts."""

    path: Path
    counts: dict[str, FaultCount] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)  # tests in threads add their counts concurrently

    def add(self, fault: str, *, requests: int, paid_twice: int, lost: int) -> None:
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("/")[2].partition(" ")[0]
        with self._lock:
            count = self.counts.setdefault(fault, FaultCount(test))
            count.requests += requests
            count.paid_twice += paid_twice
            count.lost += lost
            self._write()

    def _write(self) -> None:
        """Write JSON with lines for the terminal, and the table of docs/inside/faults.md."""
        width = max(map(len, self.counts), default=0)
        lines = [f"{'fault'.ljust(width)}  requests  paid twice  lost"]
        table = ["| Fault | Requests | Paid twice | Lost | Test |", "|---|---|---|---|---|"]
        for fault, count in self.counts.items():
            test = count.test.partition("::")[2]
            lines.append(f"{fault.ljust(width)}  {count.requests:8}  {count.paid_twice:10}  {count.lost:4}")
            table.append(f"| {fault} | {count.requests} | {count.paid_twice} | {count.lost} | `{test}` |")
        counts = {fault: vars(count) for fault, count in self.counts.items()}
        self.path.with_suffix(".md").write_text("\n".join(table) + "\n")
        self.path.write_text(json.dumps({"lines": lines, "counts": counts}, indent=1))
