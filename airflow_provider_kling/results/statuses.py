"""What a line of the results may have as its `status`."""

from __future__ import annotations

from airflow_provider_kling.api import FAILED, SUCCEED

INVALID = "invalid"  # the row or its image cannot work; nothing was sent
ERROR = "error"  # anything else that went wrong, and rows of which nothing is known

STATUSES = (SUCCEED, FAILED, INVALID, ERROR)  # the best first
