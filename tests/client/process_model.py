"""A process that runs the flows of one try of an Airflow task, one step at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from kling_model import Killed

from airflow_provider_kling import errors
from airflow_provider_kling.api import EFFECTS, Task
from airflow_provider_kling.client import Submission, flows
from airflow_provider_kling.client.flows import Count, Flow, Log, Step


class Process:
    """A worker or a triggerer, at one try of one submission. `step` is its next step; it is None at the end."""

    def __init__(
        self, submission: Submission, *, adopt_existing: bool, now: float, timeout: float, deferrable: bool, try_number: int
    ) -> None:
        self.submission = submission
        self.try_number, self.deferrable = try_number, deferrable
        self.deadline = now + timeout
        self.saving = False
        self.dead_links = 0
        self.task: Task | None = None
        self.paths: list[str] = []
        self.error: Exception | None = None
        self.logged: list[str] = []
        self._flow = self._try(adopt_existing=adopt_existing, deferrable=deferrable)
        self.step: Step | None = self._next_step(lambda: next(self._flow))
        self.since = now

    def _try(self, *, adopt_existing: bool, deferrable: bool) -> Flow[None]:
        """One try of an Airflow task, with the flows that the operator runs."""
        submission = dataclasses.replace(self.submission, adopt_existing=adopt_existing, max_attempts=self.try_number)
        try:
            if deferrable:
                task = yield from flows.create(EFFECTS, submission)
            else:
                task = yield from flows.create_when_free(EFFECTS, submission, deadline=self.deadline)
        except errors.KlingError as error:
            if not deferrable or not error.retryable:
                raise
            submission = dataclasses.replace(submission, adopt_existing=True)
            task = yield from flows.create_when_free(EFFECTS, submission, deadline=self.deadline)
        if not task.done:
            task = yield from flows.wait(EFFECTS, task.kling_task_id, poll_interval=10, deadline=self.deadline)
        if task.failed:
            raise errors.KlingTaskFailed(task.kling_task_id, task.message)
        self.saving = True
        self.paths = yield from flows.save(EFFECTS, task, "/videos")
        self.task = task

    @property
    def alive(self) -> bool:
        return self.step is not None

    def _next_step(self, resume: Callable[[], Step]) -> Step:
        """Resume the flow, and return its next step that is not a log line."""
        step = resume()
        while isinstance(step, Log | Count):
            self.logged += [step.message] if isinstance(step, Log) else []
            step = self._flow.send(None)
        return step

    def advance(self, take: Callable[[Step, Process], Any], now: float) -> None:
        """Take the next step, and resume the flow until the one after it."""
        try:
            try:
                result = take(self.step, self)
            except errors.KlingError as error:
                thrown = error
                self.step = self._next_step(lambda: self._flow.throw(thrown))
            else:
                self.step = self._next_step(lambda: self._flow.send(result))
        except (StopIteration, Killed):
            self.step = None
        except errors.KlingError as error:
            self.step, self.error = None, error
        self.since = now
