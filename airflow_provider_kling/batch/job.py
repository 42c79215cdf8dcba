"""What a batch is to do, and how it ended: plain values, which go into a trigger's row and come back in its event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_kling.errors import KlingError, KlingInputError
from airflow_provider_kling.manifests import BadRow, Row


@dataclass(frozen=True, kw_only=True)
class BatchJob:
    """A manifest for which videos are asked.

    `deadline` is in Unix seconds; `tries` the number of Airflow's try; several connections are separated by commas.
    """

    manifest: str
    results: str
    dag_id: str
    run_id: str
    task_id: str
    kling_conn_id: str
    deadline: float
    save_to: str | None = None
    format: str | None = None
    strict: bool = False
    shard: str | None = None
    fresh: str | None = None
    poll_interval: float = 10.0
    max_concurrency: int | None = None
    tries: int = 1


@dataclass(kw_only=True)
class BatchOutcome:
    """How a batch ended: rows by status, and what a further try may mend."""

    counts: Mapping[str, int] = field(default_factory=dict)
    running: int = 0  # tasks that go on at Kling, past the deadline
    not_begun: int = 0  # rows that were not asked for before the deadline
    may_pass: int = 0  # rows with an error that may pass
    left: int = 0  # rows that only a worker can do
    stopped: KlingError | None = None  # what has ended all rows


def shard_of(shard: Any) -> tuple[int, int] | None:
    """Index and count of a shard, from `"3/10"` or `(3, 10)`; None for all rows. Rows n have n % count == index.

    The index may go from 0 or from 1 on: 0/10 and 10/10 are the same rows.
    """
    if shard in (None, "", "None"):
        return None
    parts = shard.split("/") if isinstance(shard, str) else shard
    try:
        index, count = (int(part) for part in parts)
    except (TypeError, ValueError):
        index, count = -1, 0
    if not 0 <= index <= count or not count:
        raise KlingInputError(f"shard is {shard!r}; wanted is one like '3/10', the third of ten.")
    return index % count, count


def in_shard(rows: Iterable[Row | BadRow], shard: str | None) -> Iterator[Row | BadRow]:
    """The rows of a shard, in their order."""
    part = shard_of(shard)
    return (row for row in rows if part is None or row.number % part[1] == part[0])


def limit_of(max_failures: Any, rows: int) -> int | None:
    """How many rows may fail, from a number, a fraction, or a text of one (`"10"`, `"0.05"`, `"5%"`); None for any number."""
    value = max_failures
    if isinstance(value, str):
        text = value.strip()
        if text in ("", "None", "none", "null"):
            return None
        try:
            percent = text.endswith("%")
            value = float(text.rstrip("%")) / 100 if percent else float(text) if "." in text else int(text)
        except ValueError:
            value = -1
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, float) and 0 <= value <= 1:
        return int(value * rows)
    raise KlingInputError(f"max_failures is {max_failures!r}; wanted is a number of rows, or a fraction like 0.05 or '5%'.")
