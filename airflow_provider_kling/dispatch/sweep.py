"""What one sweep of the account's list of tasks has shown."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field

from airflow_provider_kling.api import Task
from airflow_provider_kling.dispatch.watched import WatchedTask, duration_of


@dataclass
class Sweep:
    """The findings of a sweep. They grow page by page, as `add` gets each task that a page shows.

    - `missing`: the wanted tasks that no page has shown so far
    - `creating`: external ids of creates that are not answered yet, so that their tasks are not counted as others'
    """

    missing: dict[WatchedTask, None]
    creating: Set[str]
    whole: bool = False  # whether the pages were the whole list
    kling_task_ids: set[str] = field(default_factory=set)  # of all tasks
    external_ids: set[str] = field(default_factory=set)
    durations: list[float] = field(default_factory=list)  # seconds, of done tasks that nobody watched
    _others: set[str] = field(default_factory=set)

    @property
    def others(self) -> int:
        """How many tasks of other programs are running."""
        return len(self._others)

    def add(self, task: Task, watched: Iterable[WatchedTask]) -> None:
        """Count a task that a page shows; `watched` is what it is watched as. A page may show a task twice."""
        self.kling_task_ids.add(task.kling_task_id)
        if task.external_task_id:
            self.external_ids.add(task.external_task_id)
        same = list(watched)
        for each in same:
            self.missing.pop(each, None)
        if same:
            self._others.discard(task.kling_task_id)
        elif task.done:
            self._others.discard(task.kling_task_id)
            if (seconds := duration_of(task)) is not None:
                self.durations.append(seconds)
        elif task.external_task_id not in self.creating:
            self._others.add(task.kling_task_id)
