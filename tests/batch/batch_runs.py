"""What the tests of the batch share: manifests of plain rows, the operator over one, and its results."""

from __future__ import annotations

import json
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_kling.operators import KlingEffectBatchOperator


def row(number: int | str, **columns) -> dict:
    return {"id": f"r{number}", "effect_scene": "squish", "image": f"https://example.com/{number}.jpg", **columns}


def write(folder: Path, rows: list[dict], name: str = "manifest.jsonl") -> str:
    (folder / name).write_text("".join(f"{json.dumps(line)}\n" for line in rows))
    return str(folder / name)


def operator(manifest: str, results: Path | str, **kwargs) -> KlingEffectBatchOperator:
    with DAG("d", schedule=None):
        return KlingEffectBatchOperator(
            task_id="batch", manifest=manifest, results=str(results), **{"poll_interval": 0.1, **kwargs}
        )


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def statuses(folder: Path) -> dict[str, str]:
    return {line["id"]: line["status"] for line in lines(folder)}


def paid(kling) -> dict[str, int]:
    """How many tasks there are for each submission."""
    ids = [task["external_task_id"] for task in kling.ledger]
    return {submission: ids.count(submission) for submission in ids}
