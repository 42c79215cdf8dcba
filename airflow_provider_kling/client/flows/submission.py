"""A submission: one request with the external id that makes it safe to repeat."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import field
from typing import TYPE_CHECKING

from airflow_provider_kling.patterns import pattern
from airflow_provider_kling.values import value

if TYPE_CHECKING:
    from airflow_provider_kling.api import Task, TaskRequest

MOST_FAILED = 100  # failed tasks that one submission may leave behind
_DERIVED = pattern(r"(airflow-[0-9a-f]{40})(?:-(\d+))?")
_RUN, _ROW, _REQUEST = 10, 10, 20  # digits of a derived external id for each part of what it is made of


@value(kw_only=True)
class Submission:
    """One request for one task. Its external id is its idempotency key: Kling accepts each id once per account.

    - `request`: the request, or a function that loads it, so that the images of waiting submissions need no memory.
    - `adopt_existing`: an earlier attempt may have created the task, so look it up before a create.
    - `first_attempt`: 1, or the number of the first external id to use, when the tasks of those before it have failed.
    - `max_attempts`: the number of the last external id that may be used. Where a try of an Airflow task may start several
      times, the number of the try: then no start asks again for what has failed in the same try.
    - `scene`: the scene of the request, for the metrics.
    - `created`: the ids of the Kling tasks that a flow has created for this submission; the flow adds them.
    """

    request: TaskRequest | Callable[[], TaskRequest]
    external_id: str
    callback_url: str | None = None
    adopt_existing: bool = False
    first_attempt: int = 1
    max_attempts: int = MOST_FAILED
    created: set[str] = field(default_factory=set, compare=False, repr=False)
    scene: str | None = None

    def external_ids(self) -> Iterator[str]:
        """The id of each attempt: the next one applies when the task of the one before has failed. There is at least one."""
        last = max(self.first_attempt, min(self.max_attempts, MOST_FAILED))
        for number in range(self.first_attempt, last + 1):
            yield self.external_id if number == 1 else f"{self.external_id}-{number}"

    @property
    def derived(self) -> bool:
        """Whether the external id is one of `external_id_of`, which nobody else uses for another request."""
        return attempt_of(self.external_id) == (self.external_id, 1)

    def surely_made(self, task: Task) -> bool:
        """Whether it is certain that this task was made of this request: an id of the user's own can have been used before."""
        attempt = attempt_of(task.external_task_id)
        of_another = attempt is not None and attempt[0] != self.external_id
        return (self.derived and not of_another) or task.kling_task_id in self.created


def external_id_of(
    request: TaskRequest,
    *,
    dag_id: str,
    run_id: str,
    task_id: str,
    place: str | int,
    fresh: str | None = None,
    iteration: int | None = None,
) -> str:
    """The external id of a request in its place: the same after a retry, a clear or a crash, another one for another request.

    `place` is the manifest's row id or, without one, the map index; `iteration` is that of the loop around the Airflow task, if
    there is one. Another `fresh` asks for another task of the same request.
    All ids of a run of an Airflow task begin alike, and so do all of a row in it (see `run_key` and `row_key`): the
    account's list tells what was made for them.
    """
    row = [*_run(dag_id, run_id, task_id, iteration), str(place)]
    of_run = run_key(dag_id, run_id, task_id, iteration)
    return f"{of_run}{_digits(row, _ROW)}{_digits([*row, request.fingerprint, fresh or ''], _REQUEST)}"


def run_key(dag_id: str, run_id: str, task_id: str, iteration: int | None = None) -> str:
    """How the derived external ids of all rows begin that an Airflow task asks for in a DAG run, or in an iteration of its loop."""
    return f"airflow-{_digits(_run(dag_id, run_id, task_id, iteration), _RUN)}"


def row_key(external_id: str) -> str:
    """How all derived external ids of the same row in the same run begin, whatever is asked for: given any of them."""
    return external_id[: len("airflow-") + _RUN + _ROW]


def attempt_of(external_id: str | None) -> tuple[str, int] | None:
    """The external id of the first attempt and the number of this one, for an id of `external_id_of`; None for any other."""
    match = _DERIVED.fullmatch(external_id or "")
    return (match[1], int(match[2] or 1)) if match else None


def _run(dag_id: str, run_id: str, task_id: str, iteration: int | None) -> list[str | int]:
    """What the rows of a run have in common. Outside loops it must stay as it is: an upgrade must not change an external id."""
    return [dag_id, run_id, task_id] if iteration is None else [dag_id, run_id, task_id, iteration]


def _digits(identity: list[str | int], count: int) -> str:
    return hashlib.sha256(json.dumps(identity, ensure_ascii=False).encode()).hexdigest()[:count]
