"""What earlier attempts of the planned run have made: by their results, and by the account's list. Nothing is paid for asking.

A list may be late or cut short. A task that it does not show counts as one to make: so a plan may say too much, never too little.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from airflow_provider_kling.api import Task
from airflow_provider_kling.batch import Attempt
from airflow_provider_kling.client import flows
from airflow_provider_kling.object_paths import storage_path
from airflow_provider_kling.planning.tally import FAILED, MADE
from airflow_provider_kling.results import RESULTS, intact_lines
from airflow_provider_kling.storage import exists


class Found(NamedTuple):
    """The last attempt at a request: the number of its external id, its status, and whether another one may succeed."""

    number: int
    status: str
    repeatable: bool = False
    message: str = ""


class EarlierAttempts:
    """The tasks of one run of one Airflow task, by the external id of their first attempt."""

    def __init__(self, dag_id: str, run_id: str, task_id: str, *, tries: int, iteration: int | None = None) -> None:
        self.key = flows.run_key(dag_id, run_id, task_id, iteration)
        self.tries = tries
        self._found: dict[str, Found] = {}

    def read(self, results: str) -> None:
        """See the results in this folder or URI, if there are any. Blocks."""
        path = storage_path(results) / RESULTS
        if exists(path):
            for line in intact_lines(path):
                if line["status"] == "succeed" and line["external_task_id"]:
                    self._keep(line["external_task_id"], "succeed")

    def see(self, tasks: Iterable[Task]) -> int:
        """See a page of the account's list. Returns how many of its tasks this package has asked for."""
        own = 0
        for number, task in enumerate(tasks, 1):
            external_id = task.external_task_id or ""
            own += flows.attempt_of(external_id) is not None
            if external_id.startswith(self.key):
                self._keep(external_id, task.status, Attempt(number, task).repeatable, task.message)
        return own

    def _keep(self, external_id: str, status: str, repeatable: bool = False, message: str = "") -> None:
        attempt = flows.attempt_of(external_id)
        if attempt is None:
            return
        first, number = attempt
        if number >= self._found.get(first, Found(0, "")).number:
            self._found[first] = Found(number, status, repeatable, message)

    def state_of(self, external_id: str | None) -> tuple[str, str | None] | None:
        """What the run would do with what there is of this request: a state of a plan, and why; None if it would ask anew."""
        found = self._found.get(external_id or "")
        if found is None:
            return None
        if found.status != "failed":
            return MADE, None
        if found.repeatable and found.number < self.tries:
            return None
        return (
            FAILED,
            f"An earlier attempt has failed: {found.message or 'Kling gives no reason'}. A retry or another run asks anew.",
        )
