"""The flows in a world that does its worst: one paid task per submission, every paid task reaches a result, and an end.

A state machine steers a model of Kling's account and any number of processes, which are workers and triggerers: each drives the
flows of one try of an Airflow task, one step at a time, in any order among the others, and may die between any two steps. No
socket, no clock: time passes when the machine says so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from airflow_provider_kling import errors
from airflow_provider_kling.api import FAILED, SUBMITTED, SUCCEED, Call, EffectRequest, Task, Video
from airflow_provider_kling.client import Load, Pause, Room, Save, Step, Submission, flows

# What Kling does with an external id that has a task. The first is documented, so there a submission is safe whatever happens.
TAKES_AN_ID_ONCE = "takes an id once"
# Safe as long as one process at a time works on a submission, knows whether it is the first, and no create is on its way for longer
# than a task runs: after that, it would make a second task under an id that the submission has left behind.
FREES_FAILED_IDS = "frees the ids of failed tasks"
# Nothing rests on a refusal where a look can tell. So this is as safe, if Kling shows at once what it did.
REFUSES_NO_ID = "refuses no id"

FATES = st.sampled_from(
    [
        *["fine"] * 5,
        "refused",  # no connection
        "lost before",  # sent, cut off, nothing done
        "lost after",  # sent and done, the answer cut off
        "lost, later done",  # sent and cut off; it takes effect at some later time, if ever
        "broken before",  # 5xx, nothing done
        "broken after",  # 5xx, done all the same
        "garbled",  # done, and the answer is no JSON
        "no slot",  # 1303, other programs were quicker
        "slow down",  # 1302
        "in arrears",  # 1101: no waiting helps, a person must act
        "killed before",  # the process is dead before it sends
        "killed after",  # done, and the process is dead before the answer comes
        "killed, later done",
        "done at once",  # a create whose answer says that the task has ended already
    ]
)
ROOM_FATES = ("no slot", "broken before")  # those that a look for room can have too
BOUND = 300  # steps in which a try must come to its end once all is well

Steps = Generator[Step, Any, Any]


class Killed(Exception):
    """SIGKILL of the process that drives a flow."""


@dataclass
class Made:
    """A task at Kling."""

    number: int
    external_id: str
    maker: Process
    hidden: int  # so many looks do not see it yet
    status: str = SUBMITTED

    @property
    def paid(self) -> bool:
        return self.status != FAILED


@dataclass
class Account:
    """What Kling knows and does."""

    kind: str
    slots: int
    lag: int
    tasks: list[Made] = field(default_factory=list)
    still_to_come: list[tuple[str, Process]] = field(default_factory=list)  # creates that were cut off on their way
    taken_by_others: int = 0
    links: int = 0  # of which generation those are that work

    def create(self, external_id: str, maker: Process, *, at_once: bool = False) -> Task:
        known = self.newest(external_id)
        if known and (known.paid or self.kind != FREES_FAILED_IDS):
            assert self.kind != REFUSES_NO_ID, f"a create under {external_id}, which has a task: {known}"
            raise errors.KlingTaskExists(f"External_task_id {external_id} already exists", code=1201, http_status=400)
        if sum(made.status == SUBMITTED for made in self.tasks) + self.taken_by_others >= self.slots:
            raise errors.KlingSlotsFullError("parallel task over resource pack limit", code=1303)
        made = Made(len(self.tasks) + 1, external_id, maker, self.lag, SUCCEED if at_once else SUBMITTED)
        self.tasks.append(made)
        return dataclasses.replace(self.shown(made), videos=())

    def get(self, any_id: str) -> Task:
        made = next((made for made in self.tasks if str(made.number) == any_id), None) or self.newest(any_id)
        if made and made.hidden:
            made.hidden -= 1
        elif made:
            return self.shown(made)
        raise errors.KlingTaskNotFound(f"Task not found by id/external id: {any_id}", code=1201)

    def newest(self, external_id: str) -> Made | None:
        return next((made for made in reversed(self.tasks) if made.external_id == external_id), None)

    def shown(self, made: Made) -> Task:
        videos = (Video(id="v", url=f"https://videos/{self.links}/{made.number}.mp4"),) if made.status == SUCCEED else ()
        return Task(
            kling_task_id=str(made.number), status=made.status, external_task_id=made.external_id, videos=videos, message="-"
        )


class Process:
    """A worker or a triggerer, at one try of one submission: the step it is about to do, and in the end what came of it."""

    def __init__(self, submission: Submission, *, adopt_existing: bool, now: float, patience: float, gives_way: bool) -> None:
        self.submission = submission
        self.deadline = now + patience
        self.saving = False
        self.dead_links = 0
        self.task: Task | None = None
        self.paths: list[str] = []
        self.error: Exception | None = None
        self.said: list[str] = []
        self._steps = self._try(adopt_existing=adopt_existing, gives_way=gives_way)
        self.step: Step | None = next(self._steps)
        self.since = now

    def _try(self, *, adopt_existing: bool, gives_way: bool) -> Steps:
        """One try of an Airflow task, as the operator makes it; with `gives_way`, deferrable."""
        free = {"deadline": self.deadline, "say": self.said.append}
        try:
            if gives_way:
                task = yield from flows.create(self.submission, adopt_existing=adopt_existing, say=self.said.append)
            else:
                task = yield from flows.create_when_free(self.submission, adopt_existing=adopt_existing, **free)
        except errors.KlingError as error:
            if not gives_way or not error.retryable:
                raise
            task = yield from flows.create_when_free(self.submission, adopt_existing=True, **free)
        if not task.done:
            task = yield from flows.wait(task.kling_task_id, poll_interval=10, **free)
        if task.failed:
            raise errors.KlingTaskFailed(task)
        self.saving = True
        self.paths = yield from flows.save(task, say=self.said.append)
        self.task = task

    @property
    def lives(self) -> bool:
        return self.step is not None

    def go_on(self, do: Any, now: float) -> None:
        """Do the step it is about to do, and come to the next."""
        try:
            try:
                done = do(self.step, self)
            except errors.KlingError as error:
                self.step = self._steps.throw(error)
            else:
                self.step = self._steps.send(done)
        except (StopIteration, Killed):
            self.step = None
        except errors.KlingError as error:
            self.step, self.error = None, error
        self.since = now


class World(RuleBasedStateMachine):
    """Everything that can happen, in any order."""

    kind = TAKES_AN_ID_ONCE

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.submissions: list[Submission] = []
        self.processes: list[Process] = []
        self.saved: set[str] = set()

    @initialize(slots=st.integers(1, 3), submissions=st.integers(1, 2), lag=st.integers(0, 2))
    def begin(self, slots: int, submissions: int, lag: int) -> None:
        self.account = Account(self.kind, slots, lag if self.kind != REFUSES_NO_ID else 0)
        request = EffectRequest("squish", ["https://example.com/a.jpg"])
        requests = [request, lambda: request]
        self.submissions = [
            Submission(request=requests[number], external_id=f"submission{number}") for number in range(submissions)
        ]

    # --- Processes. No rule has a precondition: hypothesis would throw away the worlds where none is met.

    @rule(which=st.integers(0, 1), patience=st.sampled_from([1e6, 60.0, 0.0]), gives_way=st.booleans(), forgetful=st.booleans())
    def a_try_begins(self, which: int, patience: float = 1e6, gives_way: bool = False, forgetful: bool = False) -> None:
        """The first try, a retry, a clear, or a takeover from a process that lives on. `forgetful`: Airflow has lost the run."""
        submission = self.submissions[which % len(self.submissions)]
        others = [process for process in self.processes if process.submission is submission]
        if sum(process.lives for process in others) < (2 if self.kind == TAKES_AN_ID_ONCE else 1):
            adopt_existing = bool(others) and not (forgetful and self.kind == TAKES_AN_ID_ONCE)
            self.start(submission, adopt_existing=adopt_existing, patience=patience, gives_way=gives_way)

    @rule(which=st.integers(0, 3), fates=st.lists(FATES, min_size=1, max_size=8))
    def a_process_goes_on(self, which: int, fates: list[str]) -> None:
        """So many calls and downloads, each with its fate; then it stands before its next step, or is at its end."""
        if not self.living:
            self.a_try_begins(which)
        process = self.living[which % len(self.living)]
        for fate in fates:
            while isinstance(process.step, Pause | Load) or (isinstance(process.step, Room) and fate not in ROOM_FATES):
                self.go_on(process, "fine")
            self.go_on(process, fate)

    @rule(which=st.integers(0, 3), calls=st.integers(1, 3))
    def a_process_goes_on_undisturbed(self, which: int, calls: int) -> None:
        self.a_process_goes_on(which, ["fine"] * calls)

    # --- The rest of the world

    @rule(which=st.integers(0, 3), status=st.sampled_from([FAILED, FAILED, SUCCEED]))
    def a_task_ends(self, which: int, status: str) -> None:
        if running := [made for made in self.account.tasks if made.status == SUBMITTED]:
            running[which % len(running)].status = status

    @rule(which=st.integers(0, 3))
    def a_create_takes_effect_after_all(self, which: int) -> None:
        if self.account.still_to_come:
            self.takes_effect(which % len(self.account.still_to_come))

    @rule(what=st.sampled_from(["the links die", "others take slots", "others give slots back", "days pass"]))
    def meanwhile(self, what: str) -> None:
        match what:
            case "the links die":
                self.account.links += 1
            case "others take slots":
                self.account.taken_by_others += 1
            case "others give slots back":
                self.account.taken_by_others = 0
            case "days pass":
                self.now += 3e5

    # --- What must always hold

    @invariant()
    def a_wish_has_at_most_one_paid_task(self) -> None:
        for submission in self.submissions:
            assert sum(made.paid for made in self.tasks_of(submission)) <= 1, self.tasks_of(submission)

    @invariant()
    def the_next_id_is_used_only_when_the_task_of_the_one_before_has_failed(self) -> None:
        for submission in self.submissions:
            tasks = self.tasks_of(submission)
            used = list(dict.fromkeys(made.external_id for made in tasks))
            assert used == ids_of(submission)[: len(used)]
            assert not any(made.paid for made in tasks[:-1])

    @invariant()
    def a_result_is_the_paid_task_of_its_submission(self) -> None:
        for process in self.processes:
            if process.task:
                assert [str(made.number) for made in self.tasks_of(process.submission) if made.paid] == [process.task.kling_task_id]
                assert set(process.paths) <= self.saved

    @invariant()
    def no_try_ends_for_a_passing_fault(self) -> None:
        for process in self.processes:
            match process.error:
                case None | errors.KlingTaskFailed() | errors.KlingAccountError():
                    pass
                case errors.KlingTimeoutError():
                    assert self.now >= process.deadline
                case errors.KlingDownloadError(expired=True):
                    assert process.dead_links > 1
                case error:
                    assert process.saving, repr(error)
                    assert error.retryable or isinstance(error, errors.KlingStorageError)

    @invariant()
    def who_says_that_nothing_was_made_has_made_nothing(self) -> None:
        for process in self.processes:
            certain = not self.account.lag and not any("lost" in said for said in process.said)
            if certain and "Nothing was made" in str(process.error):
                assert not any(made.maker is process and made.paid for made in self.account.tasks)

    def teardown(self) -> None:
        """At first nothing works, which ends who has little time. Then all is well, and every submission comes to its video."""
        if not self.submissions:
            return
        hasty = [process for process in self.living if process.deadline < self.now + 3600]
        for _ in range(BOUND):
            for process in hasty:
                self.go_on(process, "slow down")
        assert not any(process.lives for process in hasty)
        self.account.taken_by_others = 0
        while self.account.still_to_come:
            self.takes_effect(0)
        for _ in range(BOUND):
            for process in self.living:
                self.all_goes_well(process)
        assert not self.living
        for submission in self.submissions:
            if not any(process.task for process in self.processes if process.submission is submission):
                again = self.start(submission, adopt_existing=True, patience=1e6, gives_way=False)
                for _ in range(BOUND):
                    self.all_goes_well(again)
                assert again.task, repr(again.error)
        self.a_wish_has_at_most_one_paid_task()
        self.a_result_is_the_paid_task_of_its_submission()
        results = {process.task.kling_task_id for process in self.processes if process.task}
        assert results == {str(made.number) for made in self.account.tasks if made.paid}  # none without an owner
        assert self.saved >= {f"{number}.mp4" for number in results}

    # --- How it is done

    @property
    def living(self) -> list[Process]:
        return [process for process in self.processes if process.lives]

    def tasks_of(self, submission: Submission) -> list[Made]:
        return [made for made in self.account.tasks if made.external_id in ids_of(submission)]

    def start(self, submission: Submission, **options: Any) -> Process:
        self.processes.append(Process(submission, now=self.now, **options))
        return self.processes[-1]

    def all_goes_well(self, process: Process) -> None:
        for made in self.account.tasks:
            made.status = SUCCEED if made.status == SUBMITTED else made.status
        self.go_on(process, "fine")

    def takes_effect(self, which: int) -> None:
        external_id, maker = self.account.still_to_come.pop(which)
        known = self.account.newest(external_id)
        if self.kind == FREES_FAILED_IDS and known and not known.paid:
            return
        with contextlib.suppress(errors.KlingApiError):
            self.account.create(external_id, maker)

    def go_on(self, process: Process, fate: str) -> None:
        if process.lives:
            process.go_on(functools.partial(self.do, fate=fate), self.now)

    def do(self, step: Step, process: Process, *, fate: str) -> Any:
        match step:
            case Pause(seconds):
                self.now = max(self.now, process.since + seconds)
                return self.now
            case Load(read):
                return read()
            case Room():
                self.fail_before(fate)
                return None
            case Save(url, name):
                if fate.startswith("killed"):
                    raise Killed
                if fate == "in arrears":
                    raise errors.KlingStorageError("disk full")
                if fate != "fine":
                    raise errors.KlingDownloadError("cut", retryable=True)
                if f"/{self.account.links}/" not in url:
                    process.dead_links += 1
                    raise errors.KlingDownloadError("dead", expired=True)
                self.saved.add(name)
                return name
            case Call():
                return self.call(step, process, fate)
        raise AssertionError(step)

    def call(self, call: Call, process: Process, fate: str) -> Task:
        if not call.safe and fate.endswith("later done"):
            if self.kind != REFUSES_NO_ID:
                self.account.still_to_come.append((call.body["external_task_id"], process))
            if fate.startswith("killed"):
                raise Killed
        self.fail_before(fate)
        if call.safe:
            answer = self.account.get(call.path.rpartition("/")[2])
        else:
            answer = self.account.create(call.body["external_task_id"], process, at_once=fate == "done at once")
        match fate:
            case "lost after":
                raise errors.KlingConnectionError("cut", sent=True)
            case "broken after":
                raise errors.KlingServerError("broken", code=5000)
            case "garbled":
                raise errors.KlingAnswerError("<html>")
            case "killed after":
                raise Killed
        return answer

    @staticmethod
    def fail_before(fate: str) -> None:
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


@functools.cache
def ids_of(submission: Submission) -> list[str]:
    return list(submission.external_ids())


@pytest.mark.parametrize(("kind", "worlds"), [(TAKES_AN_ID_ONCE, 250), (FREES_FAILED_IDS, 100), (REFUSES_NO_ID, 250)])
def test_one_paid_task_per_wish_and_a_result_for_each_whatever_happens(kind: str, worlds: int) -> None:
    world = type("World", (World,), {"kind": kind})
    run_state_machine_as_test(
        world,
        settings=settings(
            max_examples=worlds,
            stateful_step_count=40,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize(
    ("kind", "lag", "calls"),
    [
        pytest.param(TAKES_AN_ID_ONCE, 2, [["lost after"]], id="a taken id whose task is not shown at once"),
        pytest.param(TAKES_AN_ID_ONCE, 1, [["done at once"]], id="a task that is done at once, and not shown at once"),
        pytest.param(REFUSES_NO_ID, 0, [["done at once", "refused"]], id="done at once, and the look at it fails"),
        pytest.param(REFUSES_NO_ID, 0, [["lost after", "refused"]], id="the look after a lost answer fails"),
        pytest.param(REFUSES_NO_ID, 0, [["killed after"], ["no slot"]], id="the look of the next try finds no slot"),
        pytest.param(
            REFUSES_NO_ID, 0, [["fine", FAILED], ["fine", "fine", "no slot"]], id="no slot for the task after a failed one"
        ),
    ],
)
def test_what_went_wrong_once_does_not_again(kind: str, lag: int, calls: list[list[str]]) -> None:
    """Each of these was found by the machine above. One list of fates for each try."""
    world = type("World", (World,), {"kind": kind})()
    world.begin(slots=2, submissions=1, lag=lag)
    for fates in calls:
        for fate in fates:
            if fate == FAILED:
                world.a_task_ends(0, FAILED)
                world.a_process_goes_on(0, ["fine"])
            else:
                world.a_process_goes_on(0, [fate])
    world.no_try_ends_for_a_passing_fault()
    world.teardown()
    world.no_try_ends_for_a_passing_fault()
    world.who_says_that_nothing_was_made_has_made_nothing()
