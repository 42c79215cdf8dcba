"""The flows under any mixture of faults, crashes and retries: one paid task per wish, found again, and an end.

A model of the account stands for Kling, and a script of fates for the world: each call to the API may be refused,
lost before or after it took effect, answered by a broken server, or be the last thing its process ever did.
"""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_kling import errors, flows
from airflow_provider_kling.effects import EffectRequest
from airflow_provider_kling.flows import Pause, Room, Wish
from airflow_provider_kling.protocol import SUCCEED, Call, Task, Video

WISH = Wish(request=EffectRequest("squish", ["https://example.com/a.jpg"]), external_id="wish")

FATES = st.sampled_from(
    [
        "fine",
        "fine",
        "refused",  # no connection
        "lost before",  # sent, cut off, nothing done
        "lost after",  # sent and done, the answer cut off
        "broken before",  # 5xx, nothing done
        "broken after",  # 5xx, done all the same
        "no slot",
        "slow down",
        "killed before",  # the process dies before it sends
        "killed after",  # the process dies before the answer arrives
        "fails",  # done, and the task fails later
    ]
)


class Killed(BaseException):
    """SIGKILL of the process that drives a flow."""


class Account:
    """What Kling knows: tasks by external id, each paid for, in the order they were made."""

    def __init__(self, fates: list[str]) -> None:
        self.fates = fates
        self.tasks: dict[str, Task] = {}

    def serve(self, call: Call):
        fate = self.fates.pop(0) if self.fates else "fine"
        match fate:
            case "refused":
                raise errors.KlingConnectionError("refused", sent=False)
            case "lost before":
                raise errors.KlingConnectionError("cut", sent=True)
            case "broken before":
                raise errors.KlingServerError("broken", code=5000)
            case "slow down":
                raise errors.KlingBusyError("slow down", code=1302)
            case "killed before":
                raise Killed
        if fate == "no slot" and not call.safe:
            raise errors.KlingSlotsFullError("full", code=1303)
        answer = self.answer(call, fails=fate == "fails")
        match fate:
            case "lost after":
                raise errors.KlingConnectionError("cut", sent=True)
            case "broken after":
                raise errors.KlingServerError("broken", code=5000)
            case "killed after":
                raise Killed
        return answer

    def answer(self, call: Call, *, fails: bool) -> Task:
        if call.safe:
            any_id = call.path.rpartition("/")[2]
            for task in self.tasks.values():
                if any_id in (task.kling_task_id, task.external_task_id):
                    return task
            raise errors.KlingTaskNotFound("gone", code=1201)
        external_id = call.body["external_task_id"]
        if external_id in self.tasks:
            raise errors.KlingTaskExists(f"External_task_id {external_id} already exists", code=1201)
        ended = Task(
            kling_task_id=str(len(self.tasks) + 1),
            status="failed" if fails else SUCCEED,
            external_task_id=external_id,
            videos=() if fails else (Video(id="v", url="https://a/v.mp4"),),
        )
        self.tasks[external_id] = ended
        return dataclasses.replace(ended, status="submitted", videos=())


def drive(steps, account: Account, clock: list[float]):
    step = next(steps)
    while True:
        try:
            if isinstance(step, Pause):
                clock[0] += step.seconds
                step = steps.send(clock[0])
            elif isinstance(step, Room):
                step = steps.send(None)
            else:
                try:
                    answer = account.serve(step)
                except errors.KlingError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            return end.value


def one_try(account: Account, clock: list[float], *, first: bool) -> Task:
    """One try of an Airflow task: create as soon as there is a slot, then wait until done."""
    deadline = clock[0] + 3600
    create = flows.create_when_free(WISH, look_first=not first, deadline=deadline, say=lambda _: None)
    task = drive(create, account, clock)
    return drive(flows.wait(task.kling_task_id, deadline=deadline, poll_interval=10, say=lambda _: None), account, clock)


@settings(max_examples=600, deadline=None)
@given(st.lists(FATES, max_size=40))
def test_one_paid_task_per_wish_whatever_happens(fates):
    account, clock = Account(list(fates)), [0.0]
    for number in range(len(fates) + 2):  # each further try has used up at least one fate
        try:
            task = one_try(account, clock, first=number == 0)
        except (Killed, errors.KlingError):
            continue
        if task.succeeded:
            break
    else:
        pytest.fail("the wish came to no end")
    paid = [known for known in account.tasks.values() if known.succeeded]
    assert [known.kling_task_id for known in paid] == [task.kling_task_id]
    # Tasks that failed stand before it, each under an id of its own, and none was given up for a passing fault.
    assert list(account.tasks) == ["wish", *(f"wish-{number}" for number in range(2, len(account.tasks) + 1))]


@settings(max_examples=300, deadline=None)
@given(st.lists(FATES.filter(lambda fate: fate != "fails"), max_size=30), st.booleans())
def test_a_second_process_that_took_over_finds_the_task_of_the_first(fates, first):
    account, clock = Account(list(fates)), [0.0]
    tasks = set()
    for number in range(2 * len(fates) + 4):
        try:
            tasks.add(one_try(account, clock, first=first and number == 0).kling_task_id)
        except (Killed, errors.KlingError):
            continue
        if not account.fates:
            break
    assert tasks == {"1"}
    assert len(account.tasks) == 1
