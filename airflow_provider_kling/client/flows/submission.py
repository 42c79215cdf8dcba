"""A submission: one request with the external id that makes it safe to repeat."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from airflow_provider_kling.api import TaskRequest

MOST_FAILED = 100  # failed tasks that one submission may leave behind


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One request for one task. Its external id is its idempotency key: Kling accepts each id once per account.

    - `request`: the request, or a function that loads it, so that the images of waiting submissions need no memory.
    - `adopt_existing`: an earlier attempt may have created the task, so look it up before a create.
    - `first_attempt`: 1, or the number of the first external id to use, when the tasks of those before it have failed.
    """

    request: TaskRequest | Callable[[], TaskRequest]
    external_id: str
    callback_url: str | None = None
    adopt_existing: bool = False
    first_attempt: int = 1

    def external_ids(self) -> Iterator[str]:
        """The id of each attempt: the next one applies when the task of the one before has failed."""
        for number in range(self.first_attempt, MOST_FAILED + 1):
            yield self.external_id if number == 1 else f"{self.external_id}-{number}"


def external_id_of(
    request: TaskRequest, *, dag_id: str, run_id: str, task_id: str, place: str | int, fresh: str | None = None
) -> str:
    """The external id of a request in its place: the same after a retry, a clear or a crash, another one for another request.

    `place` is the manifest's row id or, without one, the map index. Another `fresh` asks for another task of the same request.
    """
    identity = json.dumps([dag_id, run_id, task_id, str(place), request.fingerprint, fresh or ""], ensure_ascii=False)
    return f"airflow-{hashlib.sha256(identity.encode()).hexdigest()[:40]}"
