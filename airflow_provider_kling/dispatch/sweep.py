"""What one sweep of the account's list of tasks has shown."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from airflow_provider_kling.api import Task
from airflow_provider_kling.dispatch.watched import WatchedTask, duration_of


@dataclass
class Sweep:
    """The findings of a sweep. They grow page by page, as `add` gets each task that a page shows.

    - `watched`: all watched tasks, as they are at each moment
    - `missing`: the wanted tasks that no page has shown so far
    - `creating`: external ids of creates that are not answered yet, so that their tasks are not counted as others'
    """

    watched: Mapping[str, WatchedTask]
    missing: dict[str, WatchedTask]
    creating: Set[str]
    whole: bool = False  # whether the pages were the whole list
    others: int = 0  # running tasks of other programs
    external_ids: set[str] = field(default_factory=set)  # of all tasks
    durations: list[float] = field(default_factory=list)  # seconds, of done tasks that nobody watched

    def add(self, task: Task) -> WatchedTask | None:
        """Count a task that a page shows. Returns the watched task that it is, if it is one."""
        if task.external_task_id:
            self.external_ids.add(task.external_task_id)
        watched = self.watched.get(task.kling_task_id) or self.watched.get(task.external_task_id or "")
        if watched is not None:
            self.missing.pop(watched.any_id, None)
        elif not task.done:
            self.others += task.external_task_id not in self.creating
        elif (seconds := duration_of(task)) is not None:
            self.durations.append(seconds)
        return watched
