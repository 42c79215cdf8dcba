"""Submissions, and the verdict on them: what Kling's ledger and the results file say after whatever happened."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_api import Run
from stack import Stack
from ways import Way

from airflow_provider_kling.emulator import KlingEmulator

SHARED = "shared://"  # see modules/shared


@dataclass
class Count:
    """What became of the submissions that one fault has hit, in this test."""

    test: str
    submissions: int = 0
    paid_twice: int = 0
    lost: int = 0


@dataclass
class Tally:
    """The counts of all faults, for the table in the docs; written down with each one, as a session may be broken off."""

    path: Path
    counts: dict[str, Count] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)  # tests that run at once judge at once

    def add(self, fault: str, *, submissions: int, paid_twice: int, lost: int) -> None:
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("/")[2].partition(" ")[0]
        with self._lock:
            count = self.counts.setdefault(fault, Count(test))
            count.submissions, count.paid_twice, count.lost = (
                count.submissions + submissions,
                count.paid_twice + paid_twice,
                count.lost + lost,
            )
            self._write()

    def _write(self) -> None:
        """As JSON, with lines for a person, and as the table of docs/guarantees.md."""
        width = max(map(len, self.counts), default=0)
        lines = [f"{'fault'.ljust(width)}  submissions  paid twice  lost"]
        for fault, count in self.counts.items():
            lines.append(f"{fault.ljust(width)}  {count.submissions:6}  {count.paid_twice:10}  {count.lost:4}")
        table = ["| Fault | Submissions | Paid twice | Lost | Test |", "|---|---|---|---|---|"]
        for fault, count in self.counts.items():
            table.append(
                f"| {fault} | {count.submissions} | {count.paid_twice} | {count.lost} | `{count.test.partition('::')[2]}` |"
            )
        self.path.with_suffix(".md").write_text("\n".join(table) + "\n")
        self.path.write_text(
            json.dumps({"lines": lines, "counts": {fault: vars(count) for fault, count in self.counts.items()}}, indent=1)
        )


class Account:
    """A Kling account, the connection that names it, and the submissions that are made of it."""

    def __init__(self, conn_id: str, *, stack: Stack, tally: Tally, folder: Path, **options: Any) -> None:
        self.conn_id = conn_id
        self.stack = stack
        self.tally = tally
        self.kling = KlingEmulator.spawn(**options).start()
        self.output = folder / conn_id
        self.rows: list[str] = []

    def submission(
        self,
        dag_id: str,
        rows: int,
        *,
        run_id: str = "",
        params: Mapping[str, Any] | None = None,
        shared: bool = False,
        **row: Any,
    ) -> Run:
        """Start a run of a DAG over a manifest with so many rows; `params` are further ones of the DAG.

        With `shared` the DAG is told URIs of an object store, instead of paths.
        """
        self.write_manifest(rows, **row)
        (self.output / "results.jsonl").unlink(missing_ok=True)
        at = SHARED if shared else ""
        conf = {"manifest": f"{at}{self.manifest}", "output": f"{at}{self.output}", "kling_conn_id": self.conn_id, **(params or {})}
        return self.stack.run(dag_id, conf, run_id=run_id)

    @property
    def manifest(self) -> Path:
        return self.output / "manifest.jsonl"

    def write_manifest(self, rows: int, **row: Any) -> None:
        """A manifest with so many rows; `row` has further columns, or other values of the usual ones.

        A value that is a list has one item for each row.
        """
        self.output.mkdir(parents=True, exist_ok=True)
        self.rows = [f"r{number}" for number in range(rows)]
        columns = [
            {column: value[number] if isinstance(value, list) else value for column, value in row.items()} for number in range(rows)
        ]
        images = [{"image": f"https://example.com/{name}.jpg", **own} for name, own in zip(self.rows, columns, strict=True)]
        self.manifest.write_text(
            "\n".join(
                json.dumps({"id": name, "effect_scene": "squish", **image}) for name, image in zip(self.rows, images, strict=True)
            )
        )

    @contextlib.contextmanager
    def detour(self, **extra: Any) -> Iterator[Way]:
        """Lead the connection over a way that can be closed; `extra` is the connection's."""
        with Way(self.kling.url) as way:
            self.stack.connect(self.conn_id, self.kling.connection().replace(self.kling.url, way.url), **extra)
            yield way

    @property
    def results(self) -> list[dict[str, Any]]:
        path = self.output / "results.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def judge(
        self, fault: str, *, without_video: Collection[str] = (), earlier_failed: int = 0, earlier_submissions: int = 0
    ) -> None:
        """One paid task for each submission, none without an owner, and a line with files for each row.

        `without_video` are the rows that cannot end with one, but must have a word; `earlier_failed` is how many
        tasks may have failed at Kling before; `earlier_submissions` how many other submissions were paid for, whose results
        these have replaced.
        """
        ledger, lines = self.kling.ledger, {line["id"]: line for line in self.results}
        paid = [task for task in ledger if task["status"] != "failed"]
        owners = Counter(task["external_task_id"] for task in ledger)
        assert len(ledger) - len(paid) <= earlier_failed
        twice = max(0, len(paid) - len(self.rows) - earlier_submissions) + sum(count - 1 for count in owners.values())
        lost = [name for name in self.rows if not self._accounted(lines.get(name), without_video)]
        owned = {line["kling_task_id"] for line in lines.values()}
        told = " ".join(line["error"] or "" for line in lines.values())
        orphans = [
            task["kling_task_id"] for task in paid if task["kling_task_id"] not in owned and task["kling_task_id"] not in told
        ]
        del orphans[:earlier_submissions]
        self.tally.add(fault, submissions=len(self.rows) + earlier_submissions, paid_twice=twice, lost=len(lost) + len(orphans))
        assert not twice, Counter(task["external_task_id"] for task in paid).most_common(3)
        assert not lost, [lines.get(name) for name in lost]
        assert not orphans, orphans
        assert list(lines) == self.rows

    def _accounted(self, line: dict[str, Any] | None, without_video: Collection[str]) -> bool:
        if line is None:
            return False
        if line["id"] in without_video:
            return line["status"] in ("error", "failed", "invalid") and bool(line["error"])
        return line["status"] == "succeed" and all(
            Path(video["path"].removeprefix(SHARED)).stat().st_size > 0 for video in line["videos"]
        )
