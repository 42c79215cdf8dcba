"""The extra link from a task instance to its video."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from airflow_provider_kling.redaction import is_link

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


class KlingVideoLink(BaseOperatorLink):
    """Opens the first video of the result at Kling. The link works for 30 days after the end of the task."""

    name = "Open video"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        # Airflow calls this on the worker each time a task instance leaves it, and stores the link for the UI.
        url = getattr(operator, "video_url", "")
        return url if is_link(url) else ""
