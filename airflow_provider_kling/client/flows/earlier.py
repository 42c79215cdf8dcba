"""What a run has made already, as the account's list shows it: for the caps of the run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal

from airflow_provider_kling.api import MAX_PAGE_SIZE, Page, Product, Task, page_call
from airflow_provider_kling.client.flows.steps import Flow
from airflow_provider_kling.client.flows.submission import Submission, attempt_of, row_key

MOST_PAGES = 40  # of the account's list, 20,000 tasks


@dataclass
class MadeInRun:
    """The tasks of one run that have not failed, by row: the external ids that were asked for.

    `run_key` is how the derived external ids of the run begin. Ids of the user's own tell no run.
    """

    run_key: str
    _rows: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _count: int = 0

    def see(self, task: Task) -> None:
        """The account has this task."""
        attempt = attempt_of(task.external_task_id)
        if attempt and not task.failed and attempt[0].startswith(self.run_key):
            self._add(attempt[0])

    def begin(self, submission: Submission) -> None:
        """The task of this submission is about to be created."""
        if submission.derived:
            self._add(submission.external_id)

    def before(self, submission: Submission) -> int:
        """How many tasks of other requests the row of this submission has had."""
        return len(self._rows.get(row_key(submission.external_id), set()) - {submission.external_id})

    def others(self, submission: Submission) -> int:
        """How many other tasks the run has, of whatever rows."""
        return self._count - len(self._rows.get(row_key(submission.external_id), ()))

    def _add(self, external_id: str) -> None:
        ids = self._rows[row_key(external_id)]
        self._count += external_id not in ids
        ids.add(external_id)


def made_in_run(product: Product, run_key: str) -> Flow[MadeInRun]:
    """What the account's list shows of a run."""
    made = MadeInRun(run_key)
    tasks, _ = yield from listed(product)
    for task in tasks:
        made.see(task)
    return made


def made_for_row(product: Product, submission: Submission) -> Flow[list[Task]]:
    """What the account's list shows of the row of a submission: tasks that have not failed, of whatever requests."""
    row = row_key(submission.external_id)
    return [task for first_id, task in (yield from _made(product)) if row_key(first_id) == row]


def spent(product: Product, run_keys: Collection[str]) -> Flow[tuple[int, Decimal]]:
    """How many tasks the account's list shows of these runs that have not failed, and the units they are known to have cost."""
    tasks = [task for first_id, task in (yield from _made(product)) if first_id.startswith(tuple(run_keys))]
    return len(tasks), sum((Decimal(task.units or 0) for task in tasks), Decimal(0))


def _made(product: Product) -> Flow[list[tuple[str, Task]]]:
    """The tasks of derived external ids in the account's list that have not failed, each with the id of its first attempt."""
    tasks, _ = yield from listed(product)
    attempts = ((attempt_of(task.external_task_id), task) for task in tasks if not task.failed)
    return [(attempt[0], task) for attempt, task in attempts if attempt]


def listed(product: Product) -> Flow[tuple[list[Task], int]]:
    """The tasks in the account's list, up to `MOST_PAGES` pages of it, and how many pages were read. Its order does not matter."""
    tasks: dict[str, Task] = {}
    for number in range(1, MOST_PAGES + 1):
        page: Page = yield page_call(product, page_num=number, page_size=MAX_PAGE_SIZE)
        new = {task.kling_task_id: task for task in page.tasks if task.kling_task_id not in tasks}
        tasks |= new
        if not new:
            break
    return list(tasks.values()), number
