"""A Kling account of a test: its emulator, its Airflow connection, its DAG runs, and the check of what they led to."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow_api import Run
from proxy import Proxy
from stack import Stack
from tally import Tally

from airflow_provider_kling.emulator import KlingEmulator

SHARED = "shared://"  # see modules/shared


class Account:
    """A Kling account with a connection of its own. It runs DAGs over manifests and checks the outcome."""

    def __init__(self, conn_id: str, *, stack: Stack, tally: Tally, folder: Path, **options: Any) -> None:
        self.conn_id = conn_id
        self.stack = stack
        self.tally = tally
        self.kling = KlingEmulator.spawn(**options).start()
        self.output = folder / conn_id
        self.rows: list[str] = []

    def run_dag(
        self,
        dag_id: str,
        rows: int,
        *,
        run_id: str = "",
        params: Mapping[str, Any] | None = None,
        shared: bool = False,
        **columns: Any,
    ) -> Run:
        """Write a manifest and start a run of a DAG over it; `params` are further params of the DAG.

        With `shared`, the DAG gets URIs of an object store instead of local paths.
        """
        self.write_manifest(rows, **columns)
        (self.output / "results.jsonl").unlink(missing_ok=True)
        prefix = SHARED if shared else ""
        conf = {
            "manifest": f"{prefix}{self.manifest}",
            "output": f"{prefix}{self.output}",
            "kling_conn_id": self.conn_id,
            **(params or {}),
        }
        return self.stack.start_run(dag_id, conf, run_id=run_id)

    @property
    def manifest(self) -> Path:
        return self.output / "manifest.jsonl"

    def write_manifest(self, rows: int, **columns: Any) -> None:
        """Write a manifest with this many rows. `columns` adds columns, or replaces the default scene or image.

        A value applies to all rows; a list holds one value for each row.
        """
        self.output.mkdir(parents=True, exist_ok=True)
        self.rows = [f"r{number}" for number in range(rows)]
        lines = []
        for number, row_id in enumerate(self.rows):
            row = {"id": row_id, "effect_scene": "squish", "image": f"https://example.com/{row_id}.jpg"}
            row |= {name: value[number] if isinstance(value, list) else value for name, value in columns.items()}
            lines.append(json.dumps(row))
        self.manifest.write_text("\n".join(lines))

    @contextlib.contextmanager
    def through_proxy(self, **extra: Any) -> Iterator[Proxy]:
        """Within this context, the connection leads through a proxy that can be closed; `extra` is the connection's."""
        with Proxy(self.kling.url) as proxy:
            self.stack.connect(self.conn_id, self.kling.connection().replace(self.kling.url, proxy.url), **extra)
            yield proxy

    @property
    def results(self) -> list[dict[str, Any]]:
        path = self.output / "results.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def check(
        self, fault: str, *, rows_without_video: Collection[str] = (), failed_tasks: int = 0, earlier_requests: int = 0
    ) -> None:
        """Assert that each request was paid for once, that no paid task is lost, and that each row has a result.

        Rows in `rows_without_video` cannot have a video, but their results must have an error. Up to `failed_tasks` tasks
        may have failed at Kling. `earlier_requests` counts other requests of this account that were paid for before, whose
        results were replaced.
        """
        ledger, lines = self.kling.ledger, {line["id"]: line for line in self.results}
        paid = [task for task in ledger if task["status"] != "failed"]
        tasks_per_id = Counter(task["external_task_id"] for task in ledger)
        assert len(ledger) - len(paid) <= failed_tasks
        paid_twice = max(0, len(paid) - len(self.rows) - earlier_requests) + sum(count - 1 for count in tasks_per_id.values())
        lost = [name for name in self.rows if not self._is_complete(lines.get(name), rows_without_video)]
        in_results = {line["kling_task_id"] for line in lines.values()}
        errors = " ".join(line["error"] or "" for line in lines.values())
        orphans = [
            task["kling_task_id"]
            for task in paid
            if task["kling_task_id"] not in in_results and task["kling_task_id"] not in errors
        ]
        del orphans[:earlier_requests]
        self.tally.add(fault, requests=len(self.rows) + earlier_requests, paid_twice=paid_twice, lost=len(lost) + len(orphans))
        assert not paid_twice, Counter(task["external_task_id"] for task in paid).most_common(3)
        assert not lost, [lines.get(name) for name in lost]
        assert not orphans, orphans
        assert list(lines) == self.rows

    def _is_complete(self, line: dict[str, Any] | None, rows_without_video: Collection[str]) -> bool:
        """Whether a result has its saved videos, or an error if it cannot have a video."""
        if line is None:
            return False
        if line["id"] in rows_without_video:
            return line["status"] in ("error", "failed", "invalid") and bool(line["error"])
        return line["status"] == "succeed" and all(
            Path(video["path"].removeprefix(SHARED)).stat().st_size > 0 for video in line["videos"]
        )
