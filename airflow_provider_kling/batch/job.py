"""What a batch does and how it ended: plain values, which fit into a trigger's row and its event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from airflow_provider_kling.caps import Allowance
from airflow_provider_kling.errors import KlingError, KlingInputError
from airflow_provider_kling.manifests import BadRow, Row
from airflow_provider_kling.naming import SaveAs


@dataclass(frozen=True, kw_only=True)
class BatchJob:
    """A manifest whose videos are to be made, and how.

    The fields are arguments of `KlingBatchTrigger`, so rows in Airflow's database hold them: their names must stay.

    - `manifest`, `results`, `save_to`: paths or URIs of the manifest, of the folder for results, and of that for videos.
    - `dag_id`, `run_id`, `task_id`: of the Airflow task; with a row's id they make the row's external id. `iteration` is that
      of the loop around the task; None for a task in no loop.
    - `kling_conn_id`: one connection id, or several separated by commas.
    - `deadline`: Unix seconds. Nothing is created after it, and no task is awaited longer.
    - `shard`: text like `3/10`; None for all rows.
    - `file_name`, `watermark`, `sidecar`: how videos are saved, see `naming.SaveAs`; `date`: that of the run, for file names.
    - `cap`: which rows may be paid for, as the JSON of a `caps.Allowance` whose places are the numbers of rows; None for all.
    - `tries`: the number of the Airflow task's current try. A row whose tasks fail gets at most so many of them.
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
    file_name: str | None = None
    watermark: bool = False
    sidecar: bool = False
    date: str | None = None
    cap: Mapping[str, Any] | None = None
    iteration: int | None = None

    @property
    def allowance(self) -> Allowance | None:
        """Which rows may be paid for; None for all."""
        return None if self.cap is None else Allowance.from_json(self.cap)

    def save_as(self, row: Row | None = None) -> SaveAs:
        """How the videos of a row are saved; without a row, as far as that is the same for all."""
        ids = {"dag_id": self.dag_id, "run_id": self.run_id, "task_id": self.task_id, "map_index": None, "date": self.date}
        fields = {**row.columns, **ids, "row_id": row.id, "effect_scene": row.effect_scene} if row else ids
        return SaveAs(file_name=self.file_name, fields=fields, watermark=self.watermark, sidecar=self.sidecar)


@dataclass(kw_only=True)
class BatchOutcome:
    """How a batch ended: how many rows have which status, and what another try may change."""

    counts: Mapping[str, int] = field(default_factory=dict)  # rows by the status of their result
    running: int = 0  # rows whose tasks still run at Kling past the deadline
    not_created: int = 0  # rows without a task at the deadline
    retryable: int = 0  # rows with an error that may not occur again
    for_worker: int = 0  # rows that only a worker can process, since the triggerer may not read their images
    stopped_by: KlingError | None = None  # the error that ended all rows of an account


def shard_of(shard: Any) -> tuple[int, int] | None:
    """Index and count of a shard, from `"3/10"` or `(3, 10)`; None for all rows. A row n belongs to it if n % count == index.

    Indexes may start at 0 or at 1: 0/10 and 10/10 are the same rows. Raises KlingInputError for anything else.
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
    return (row for row in rows if is_in_shard(row, part))


def is_in_shard(row: Row | BadRow, shard: tuple[int, int] | None) -> bool:
    """Whether a row belongs to a shard, as `shard_of` returns it."""
    return shard is None or row.number % shard[1] == shard[0]


def limit_of(max_failures: Any, rows: int) -> int | None:
    """How many of so many rows may fail; None for any number of them.

    `max_failures` is a number of rows, a fraction of them, or either as text: `10`, `0.05`, `"10"`, `"0.05"`, `"5%"`. A
    fraction of the rows is rounded down.
    Raises KlingInputError for anything else.
    """
    value = _number(max_failures) if isinstance(max_failures, str) else max_failures
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, float):
        value = Decimal(repr(value))  # as it is written: 0.29, not the nearest binary fraction
    if isinstance(value, Decimal) and value.is_finite() and 0 <= value <= 1:
        return int(value * rows)
    raise KlingInputError(f"max_failures is {max_failures!r}; wanted is a number of rows, or a fraction like 0.05 or '5%'.")


def describe_limit(max_failures: Any, limit: int, rows: int) -> str:
    """The `max_failures` as the user wrote it, with what it means where that is another number."""
    written = max_failures.strip() if isinstance(max_failures, str) else str(max_failures)
    meaning = f", {limit:,} of {rows:,} rows" if written != str(limit) else ""
    return f"max_failures={written}{meaning}"


def _number(text: str) -> int | Decimal | None:
    """The number or fraction in a text; -1, which is no limit, where there is none."""
    text = text.strip()
    if text in ("", "None", "none", "null"):
        return None
    try:
        if text.endswith("%"):
            return Decimal(text.rstrip("%")) / 100
        return int(text) if "." not in text and "e" not in text.lower() else Decimal(text)
    except (ValueError, ArithmeticError):
        return -1
