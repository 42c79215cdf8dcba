"""The errors of a batch's rows: their outcomes, their lines in the log, and what they mean for the other rows."""

from __future__ import annotations

import logging
from typing import Any

from airflow_provider_kling.batch.account import Account
from airflow_provider_kling.batch.active_row import ActiveRow
from airflow_provider_kling.batch.job import BatchOutcome
from airflow_provider_kling.errors import KlingError, KlingTaskFailed, KlingTimeoutError
from airflow_provider_kling.results import error_result

MAX_LOGGED = 50  # rows that the log names, of those that fail while the batch runs

logger = logging.getLogger(__name__)


class Failures:
    """Turns the errors of rows into their outcomes, and counts in the batch's outcome what another try may change.

    An error of credentials, account or connection concerns all rows: it stops the account, so that nothing more is created.
    """

    def __init__(self, outcome: BatchOutcome, *, accounts: int) -> None:
        self._outcome = outcome
        self._accounts = accounts
        self._logged = 0

    def outcome_of(self, active: ActiveRow, error: Exception) -> dict[str, Any]:
        """What became of a row with this error."""
        row = active.row
        outcome = error_result(error, row_id=row.id, task=active.task, effect_scene=row.effect_scene)
        if active.task is None:
            outcome["external_id"] = active.external_id
        self._count(active, error)
        if isinstance(error, KlingError) and error.stops_account:
            self._stop(active.account, error)
        else:
            self._log(outcome)
        return outcome

    def _count(self, active: ActiveRow, error: Exception) -> None:
        if isinstance(error, KlingTimeoutError):
            if active.task is None:
                self._outcome.not_created += 1
            else:
                self._outcome.running += 1
        elif not isinstance(error, KlingTaskFailed) and (not isinstance(error, KlingError) or error.may_pass):
            self._outcome.retryable += 1

    def _stop(self, account: Account, error: KlingError) -> None:
        if account.stopped is not None:
            return
        logger.error("Connection %s: no more tasks are created, because of this error: %s", account.conn_id, error)
        account.stopped = error
        self._outcome.stopped_by = self._outcome.stopped_by or error

    def _log(self, outcome: dict[str, Any]) -> None:
        if self._logged >= MAX_LOGGED:
            return
        self._logged += 1
        more = " Errors of further rows are only in the results." if self._logged == MAX_LOGGED else ""
        logger.warning("Row %s, %s: %s%s", outcome["row_id"], outcome["status"], outcome["error"], more)
