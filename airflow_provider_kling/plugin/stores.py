"""What the API server reads of a run beside Airflow's database: results, the progress of a batch, and its manifest.

All of it lies where the tasks have put it, which the API server may or may not reach; where it cannot, UnreadableError says so in
one sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from airflow_provider_kling.redaction import show_place, show_reason
from airflow_provider_kling.results import RESULTS
from airflow_provider_kling.storage import time_of


class UnreadableError(Exception):
    """The API server cannot read a place. Its text is one sentence without secrets."""

    def __init__(self, place: str, error: BaseException | str) -> None:
        reason = error if isinstance(error, str) else show_reason(error, place)
        super().__init__(f"The API server cannot read {show_place(place)}: {reason}.")


def result_lines(location: str) -> Iterator[dict[str, Any]]:
    """The lines of a `results.jsonl`, damaged ones as errors of their rows. Raises UnreadableError."""
    from airflow_provider_kling.object_paths import storage_path
    from airflow_provider_kling.results import damaged_row, read_results

    if location.rpartition("/")[2] != RESULTS:
        raise UnreadableError(location, f"it is no {RESULTS}")
    try:
        for line in read_results(storage_path(location)):
            if line.data is not None and line.problem:
                yield damaged_row(line.data, f"Line {line.number} of the results is damaged: {line.problem}.")
            elif line.data is not None:
                yield line.data
    except FileNotFoundError:
        raise UnreadableError(location, "there is no such file") from None
    except Exception as error:  # noqa: BLE001 - each store has errors of its own
        raise UnreadableError(location, error) from None


def modified_at(location: str) -> datetime | None:
    """When a file was written last; None where its store does not say."""
    from airflow_provider_kling.object_paths import storage_path

    try:
        path = storage_path(location)
        return time_of(path.fs.info(path.path))
    except Exception:  # noqa: BLE001 - each store has errors of its own
        return None


def read_progress(folder: str) -> Mapping[str, Any] | None:
    """What a batch has written of its progress beside its results; None where there is none. Raises UnreadableError."""
    from airflow_provider_kling import results
    from airflow_provider_kling.object_paths import storage_path

    try:
        return results.read_progress(storage_path(folder))
    except Exception as error:  # noqa: BLE001 - each store has errors of its own
        raise UnreadableError(folder, error) from None


def manifest_lines(batch: Mapping[str, Any], *, most: int) -> Iterator[dict[str, Any]]:
    """The first rows of a batch's manifest as lines that wait. Raises UnreadableError.

    Bad rows are left out: the batch itself tells of them, and of a file that is no manifest no row is good.
    """
    from itertools import islice

    from airflow_provider_kling.batch import in_shard
    from airflow_provider_kling.manifests import ManifestFile, Row

    location = batch.get("manifest")
    if not isinstance(location, str):
        return
    try:
        with ManifestFile(location, format=batch.get("format"), strict=batch.get("strict") is True) as manifest:
            for row in islice(in_shard(manifest.rows(), batch.get("shard")), most):
                if isinstance(row, Row):
                    yield {
                        **row.columns,
                        "id": row.id,
                        "effect_scene": row.effect_scene,
                        "images": list(row.images),
                        "status": "waiting",
                    }
    except Exception as error:  # noqa: BLE001 - each store has errors of its own
        raise UnreadableError(location, error) from None
