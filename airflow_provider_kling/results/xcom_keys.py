"""The XCom keys under which operators and sensors leave what is known of a row, beside Airflow's `return_value`."""

from __future__ import annotations

FAILED_RESULT = "failed_result"  # the result of a row that did not work
CREATED_TASK = "kling_task"  # the ids of a Kling task, from its creation on
