"""The rows of a batch in the metrics, each of them once, however often the batch starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_kling.api import SUCCEED
from airflow_provider_kling.batch.account import Account
from airflow_provider_kling.batch.active_row import ActiveRow
from airflow_provider_kling.batch.previous import PreviousResults
from airflow_provider_kling.errors import KlingError, KlingTaskFailed
from airflow_provider_kling.manifests import BadRow
from airflow_provider_kling.metrics import ADOPTED, SILENT
from airflow_provider_kling.results import INVALID
from airflow_provider_kling.row_metrics import account_tag, count_end


class RowMetrics:
    """Counts rows that were adopted, and rows that have ended.

    - `ends`: whether rows end here. In the triggerer they do not: a worker saves their videos, and counts them.
    - `resumed`: the triggerer has created the tasks, so that finding them is no adoption.
    - `previous`: the results of an earlier try. What stands in them was counted by it.
    - `last_try`: a row that fails now has failed, though another try might have done better.
    """

    def __init__(
        self, accounts: Sequence[Account], *, ends: bool, resumed: bool, previous: PreviousResults | None, last_try: bool
    ) -> None:
        self._ends, self._resumed, self._previous, self._last_try = ends, resumed, previous, last_try
        self._sink = accounts[0].client.sink if accounts else SILENT
        self._conn_id = account_tag(",".join(account.conn_id for account in accounts))

    def adopted(self, active: ActiveRow) -> None:
        """The row goes on with the task of an earlier attempt."""
        active.adopted = True
        if not self._resumed:
            self._sink.record(ADOPTED, conn_id=active.account.conn_id, scene=active.row.effect_scene)

    def ended_badly(self, row: BadRow) -> None:
        """The row cannot work."""
        if self._ends and not self._counted_before(row.id, INVALID, None):
            count_end(self._sink, status=INVALID, conn_id=self._conn_id, scene=None, task=None, error_kind=row.kind)

    def ended(self, active: ActiveRow, outcome: dict[str, Any], error: Exception | None) -> None:
        """The row has ended with this outcome, or with the error that led to it."""
        status = outcome["status"]
        if not self._ends or active.counted_before:
            return
        if error is None and (active.task is None or self._found_whole(active)):
            return
        if error is not None and (self._will_be_tried_again(error) or self._counted_before(active.row.id, status, active.task)):
            return
        tags = {"conn_id": active.account.conn_id, "scene": active.row.effect_scene}
        count_end(self._sink, status=status, task=active.task, error_kind=outcome.get("error_kind"), **tags)

    def _found_whole(self, active: ActiveRow) -> bool:
        """Whether an earlier attempt, which was killed, has left the row's task done and its videos saved."""
        return active.adopted and not active.worked and not self._resumed and active.saved is False

    def _will_be_tried_again(self, error: Exception) -> bool:
        """Whether another try of the Airflow task follows for this row, which then ends in that one."""
        if self._last_try or isinstance(error, KlingTaskFailed):
            return False
        return not isinstance(error, KlingError) or error.may_pass

    def _counted_before(self, row_id: str, status: str, task: Any) -> bool:
        kling_task_id = task.kling_task_id if task is not None else None
        return status != SUCCEED and self._previous is not None and self._previous.has_failure(row_id, status, kling_task_id)
