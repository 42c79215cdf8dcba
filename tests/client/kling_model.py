"""A model of a Kling account without HTTP, and the faults that a call to it can have."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from airflow_provider_kling import errors
from airflow_provider_kling.api import FAILED, SUBMITTED, SUCCEED, Call, Task, Video

# What Kling does with a create whose external id already has a task. Kling documents the first: then a submission is paid for
# once, whatever happens.
ACCEPTS_AN_ID_ONCE = "accepts an id once"
# Safe while one process at a time works on a submission and knows whether it is the first, and no create is delayed for longer
# than a task runs: after that, it would create a second task under an id that the submission no longer uses.
FREES_FAILED_IDS = "frees the ids of failed tasks"
# Where a lookup can tell whether a task exists, nothing relies on a refusal. So this is equally safe, if a lookup shows every
# task at once.
REFUSES_NO_ID = "refuses no id"

FATES = st.sampled_from(
    [
        *["fine"] * 5,
        "refused",  # no connection
        "lost before",  # sent and cut off, no effect
        "lost after",  # sent, has taken effect, the response was cut off
        "lost, later done",  # sent and cut off; it may take effect at some later time
        "broken before",  # 5xx, no effect
        "broken after",  # 5xx, has taken effect
        "garbled",  # has taken effect, and the response is not JSON
        "no slot",  # 1303, other programs use the slots
        "slow down",  # 1302
        "in arrears",  # 1101: only a person can fix it
        "killed before",  # the process dies before it sends
        "killed after",  # has taken effect, and the process dies before the response arrives
        "killed, later done",
        "done at once",  # a create whose response says that the task has already succeeded
    ]
)
CAPACITY_FATES = ("no slot", "broken before")  # the fates that a check of the capacity can have too


class Killed(Exception):
    """SIGKILL of the process that runs a flow."""


@dataclass
class ModelTask:
    """A task at Kling. `hidden` is the number of queries that do not show it yet."""

    number: int
    external_id: str
    creator: object
    hidden: int
    status: str = SUBMITTED

    @property
    def paid(self) -> bool:
        return self.status != FAILED


@dataclass
class Account:
    """The state of the account, and what Kling does with a create and a query."""

    id_policy: str
    slots: int
    lag: int  # queries that do not show a new task; more than two only if they are by its external id
    tasks: list[ModelTask] = field(default_factory=list)
    delayed: list[tuple[str, object]] = field(default_factory=list)  # creates that were cut off and may still take effect
    used_by_others: int = 0
    link_generation: int = 0  # links of earlier generations are dead

    def create(self, external_id: str, creator: object, *, done_at_once: bool = False) -> Task:
        existing = self.newest(external_id)
        if existing and (existing.paid or self.id_policy != FREES_FAILED_IDS):
            assert self.id_policy != REFUSES_NO_ID, f"a create under {external_id}, which has a task: {existing}"
            raise errors.KlingTaskExists(f"External_task_id {external_id} already exists", code=1201, http_status=400)
        if sum(task.status == SUBMITTED for task in self.tasks) + self.used_by_others >= self.slots:
            raise errors.KlingSlotsFullError("parallel task over resource pack limit", code=1303)
        created = ModelTask(len(self.tasks) + 1, external_id, creator, self.lag, SUCCEED if done_at_once else SUBMITTED)
        self.tasks.append(created)
        return dataclasses.replace(self.to_task(created), videos=())

    def get(self, any_id: str) -> Task:
        found = next((task for task in self.tasks if str(task.number) == any_id), None)
        if found and self.lag > 2:
            found.hidden = 0
        found = found or self.newest(any_id)
        if found and found.hidden:
            found.hidden -= 1
        elif found:
            return self.to_task(found)
        raise errors.KlingTaskNotFound(f"Task not found by id/external id: {any_id}", code=1201)

    def newest(self, external_id: str) -> ModelTask | None:
        return next((task for task in reversed(self.tasks) if task.external_id == external_id), None)

    def to_task(self, task: ModelTask) -> Task:
        """The task as a response shows it."""
        url = f"https://videos/{self.link_generation}/{task.number}.mp4"
        videos = (Video(id="v", url=url),) if task.status == SUCCEED else ()
        return Task(
            kling_task_id=str(task.number), status=task.status, external_task_id=task.external_id, videos=videos, message="-"
        )

    def apply_delayed(self, which: int) -> None:
        """Let a create that was cut off take effect."""
        external_id, creator = self.delayed.pop(which)
        existing = self.newest(external_id)
        if self.id_policy == FREES_FAILED_IDS and existing and not existing.paid:
            return
        with contextlib.suppress(errors.KlingApiError):
            self.create(external_id, creator)

    def respond(self, call: Call[Any], sender: object, fate: str) -> Task:
        """The response to a call with this fate."""
        if not call.safe and fate.endswith("later done"):
            if self.id_policy != REFUSES_NO_ID:
                self.delayed.append((call.body["external_task_id"], sender))
            if fate.startswith("killed"):
                raise Killed
        fail_before(fate)
        if call.safe:
            response = self.get(call.path.rpartition("/")[2])
        else:
            response = self.create(call.body["external_task_id"], sender, done_at_once=fate == "done at once")
        fail_after(fate)
        return response


def fail_before(fate: str) -> None:
    """Raise the error of a call with this fate, if the error prevents its effect."""
    match fate:
        case "refused":
            raise errors.KlingConnectionError("refused", sent=False)
        case "lost before" | "lost, later done":
            raise errors.KlingConnectionError("cut", sent=True)
        case "broken before":
            raise errors.KlingServerError("broken", code=5000)
        case "no slot":
            raise errors.KlingSlotsFullError("full", code=1303)
        case "slow down":
            raise errors.KlingBusyError("slow down", code=1302)
        case "in arrears":
            raise errors.KlingAccountError("in arrears", code=1101)
        case "killed before":
            raise Killed


def fail_after(fate: str) -> None:
    """Raise the error of a call with this fate, if the error follows its effect."""
    match fate:
        case "lost after":
            raise errors.KlingConnectionError("cut", sent=True)
        case "broken after":
            raise errors.KlingServerError("broken", code=5000)
        case "garbled":
            raise errors.KlingAnswerError("<html>")
        case "killed after":
            raise Killed
