"""What a line of the results may have as its `status`."""

from __future__ import annotations

from airflow_provider_kling.api import FAILED, SUCCEED
from airflow_provider_kling.errors import KlingError, KlingInputError

INVALID = KlingInputError.row_status  # the row or its image cannot work; nothing was sent
ERROR = KlingError.row_status  # anything else that went wrong, and rows of which nothing is known

STATUSES = (SUCCEED, FAILED, INVALID, ERROR)  # the best first
