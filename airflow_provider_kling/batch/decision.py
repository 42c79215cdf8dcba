"""What happens to a row, decided from what earlier attempts left and from whether anything may still be created. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_kling.api import Task, is_input_fault
from airflow_provider_kling.errors import KlingError, KlingTimeoutError


@dataclass(frozen=True)
class Attempt:
    """The task of one attempt at a submission; `number` counts the attempts from 1, each with an external id of its own."""

    number: int
    task: Task

    @property
    def repeatable(self) -> bool:
        """Whether another task for the same request may succeed: this one failed, and not because of its input."""
        return self.task.failed and not is_input_fault(self.task.message)


@dataclass(frozen=True)
class Reuse:
    """Take over the line that an earlier attempt wrote into the results."""

    line: Mapping[str, Any]


@dataclass(frozen=True)
class Adopt:
    """Go on with the task of an earlier attempt."""

    task: Task


@dataclass(frozen=True)
class Create:
    """Create a task, as the attempt of this number."""

    attempt: int


@dataclass(frozen=True)
class Fail:
    """End the row with this error."""

    error: KlingError


Decision = Reuse | Adopt | Create | Fail


def decide(
    *,
    line: Mapping[str, Any] | None = None,
    last: Attempt | None = None,
    tries: int,
    capped: KlingError | None = None,
    stopped: KlingError | None,
    expired: bool,
) -> Decision:
    """What happens to a row.

    - `line`: the row's line in the results of an earlier attempt, if that saved its videos.
    - `last`: the last attempt at the row's submission, if there was one.
    - `tries`: the number of the Airflow task's current try. Each try creates one more task for a row whose tasks failed.
    - `capped`: the error of a row that the run's cap does not pay for.
    - `stopped`: the error after which nothing is created in the account any more.
    - `expired`: whether the deadline has passed.

    So whatever is paid for is used, even when nothing more may be created.
    """
    if line is not None:
        return Reuse(line)
    if last is not None and (not last.repeatable or last.number >= tries):
        return Adopt(last.task)
    if capped is not None:
        return Fail(capped)
    if stopped is not None:
        return Fail(copy.copy(stopped))  # one error for each row: raising it changes its traceback
    if expired:
        return Fail(KlingTimeoutError("The timeout came before it was this row's turn: nothing was made, nothing was paid."))
    return Create(1 if last is None else last.number + 1)
