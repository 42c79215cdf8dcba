"""What a line of the results may have as its `status`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_kling.api import FAILED, SUCCEED, ErrorKind, failure_kind, known_kind
from airflow_provider_kling.errors import KlingCappedError, KlingError, KlingInputError

INVALID = KlingInputError.row_status  # the row or its image cannot work; nothing was sent
CAPPED = KlingCappedError.row_status  # a cap of the run or the account is reached; nothing was sent
ERROR = KlingError.row_status  # anything else that went wrong, and rows of which nothing is known

STATUSES = (SUCCEED, FAILED, INVALID, CAPPED, ERROR)  # the best first


def word_of(status: str) -> str:
    """A status in a text for people: `succeeded` for Kling's `succeed`, the others as they are."""
    return "succeeded" if status == SUCCEED else status


def kind_of(line: Mapping[str, Any]) -> ErrorKind | None:
    """What the error of a line or an outcome is about; None for one that has succeeded, or that has not ended.

    Results of an older version do not say it: then Kling's reason for a failed task does, where it gave one.
    """
    status, kind = line.get("status"), line.get("error_kind")
    if status == SUCCEED or status not in STATUSES:
        return None
    if kind is None and status == FAILED:
        return failure_kind(str(line.get("message") or ""))
    return known_kind(kind)


def describe_counts(counts: Mapping[str, int]) -> str:
    """Numbers of rows by status in a text for people: `14 succeeded, 1 invalid`."""
    return ", ".join(f"{count:,} {word_of(status)}" for status, count in counts.items() if count) or "none"
