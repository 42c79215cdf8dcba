"""The XCom keys, and the file, under which operators and sensors leave what is known of rows, beside Airflow's `return_value`."""

from __future__ import annotations

FAILED_RESULT = "failed_result"  # the result of a row that did not work
CREATED_TASK = "kling_task"  # the ids of a Kling task, from its creation on
BATCH = "kling_batch"  # where a batch reads and writes, from its start on
SUMMARY = "summary"  # the summary of its results, also where its task fails
PROGRESS = "progress.json"  # beside the results: the file in which a batch says how far it is
