"""The flows under the worst conditions: one paid task per submission, a result for each paid task, and every try ends.

A state machine controls a model of a Kling account and any number of processes, which are workers and triggerers. Each process
runs the flows of one try of an Airflow task, one step at a time, in any order among the others, and may die between any two
steps. There is no socket and no clock: time passes when the machine says so.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest
from examples import examples
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from kling_model import (
    ACCEPTS_AN_ID_ONCE,
    CAPACITY_FATES,
    FATES,
    FREES_FAILED_IDS,
    REFUSES_NO_ID,
    Account,
    Killed,
    ModelTask,
    fail_before,
)
from process_model import Process

from airflow_provider_kling import errors
from airflow_provider_kling.api import FAILED, SUBMITTED, SUCCEED, Call, EffectRequest
from airflow_provider_kling.client import Submission
from airflow_provider_kling.client.flows import (
    CheckCapacity,
    GiveBack,
    LoadRequest,
    Reserve,
    Reserved,
    Saved,
    SaveVideo,
    Sleep,
    Step,
)

MAX_STEPS = 300  # steps within which a try must end when there are no faults


class World(RuleBasedStateMachine):
    """Everything that can happen, in any order."""

    id_policy = ACCEPTS_AN_ID_ONCE

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.submissions: list[Submission] = []
        self.processes: list[Process] = []
        self.saved: set[str] = set()
        self.tries: dict[str, int] = {}  # of each submission, by its external id

    @initialize(slots=st.integers(1, 3), submissions=st.integers(1, 2), lag=st.sampled_from([0, 1, 2, 40]))
    def begin(self, slots: int, submissions: int, lag: int) -> None:
        """Begin with a new account. An account may hide a new task for long, while it says that its id exists."""
        self.account = Account(self.id_policy, slots, lag if self.id_policy != REFUSES_NO_ID else 0)
        request = EffectRequest("squish", ["https://example.com/a.jpg"])
        requests = [request, lambda: request]
        ids = [f"airflow-{0:040x}", "submission1" if lag <= 2 else f"airflow-{1:040x}"]
        self.submissions = [Submission(request=requests[number], external_id=ids[number]) for number in range(submissions)]

    # --- Processes. No rule has a precondition: hypothesis would discard the worlds in which none is met.

    @rule(which=st.integers(0, 1), timeout=st.sampled_from([1e6, 60.0, 0.0]), deferrable=st.booleans(), run_lost=st.booleans())
    def start_try(self, which: int, timeout: float = 1e6, deferrable: bool = False, run_lost: bool = False) -> None:
        """The first try, a retry, a clear, or a takeover from a process that is alive. `run_lost`: Airflow has lost the run."""
        submission = self.submissions[which % len(self.submissions)]
        if self.may_start(submission):
            run_lost = run_lost and self.id_policy == ACCEPTS_AN_ID_ONCE
            number = 1 if run_lost else self.tries.get(submission.external_id, 0) + 1
            adopt_existing = number > 1
            self.start(submission, adopt_existing=adopt_existing, timeout=timeout, deferrable=deferrable, try_number=number)

    @rule(which=st.integers(0, 1), timeout=st.sampled_from([1e6, 60.0]))
    def start_again_within_a_try(self, which: int, timeout: float) -> None:
        """A trigger starts again in another triggerer, or a rescheduled task on another worker: the try is the same."""
        submission = self.submissions[which % len(self.submissions)]
        number = self.tries.get(submission.external_id, 0)
        if number and self.may_start(submission):
            self.start(submission, adopt_existing=True, timeout=timeout, deferrable=False, try_number=number)

    @rule(which=st.integers(0, 3), fates=st.lists(FATES, min_size=1, max_size=8))
    def advance_process(self, which: int, fates: list[str]) -> None:
        """Make some calls and downloads, each with its fate."""
        if not self.alive:
            self.start_try(which)
        process = self.alive[which % len(self.alive)]
        for fate in fates:
            while isinstance(process.step, Sleep | LoadRequest | Reserve | GiveBack) or (
                isinstance(process.step, CheckCapacity) and fate not in CAPACITY_FATES
            ):
                self.advance(process, "fine")
            self.advance(process, fate)

    @rule(which=st.integers(0, 3), calls=st.integers(1, 3))
    def advance_process_without_faults(self, which: int, calls: int) -> None:
        self.advance_process(which, ["fine"] * calls)

    # --- The rest of the world

    @rule(which=st.integers(0, 3), status=st.sampled_from([FAILED, FAILED, SUCCEED]))
    def end_task(self, which: int, status: str) -> None:
        if running := [task for task in self.account.tasks if task.status == SUBMITTED]:
            running[which % len(running)].status = status

    @rule(which=st.integers(0, 3))
    def apply_delayed_create(self, which: int) -> None:
        if self.account.delayed:
            self.account.apply_delayed(which % len(self.account.delayed))

    @rule(change=st.sampled_from(["the links die", "others use slots", "others free their slots", "days pass"]))
    def change_world(self, change: str) -> None:
        match change:
            case "the links die":
                self.account.link_generation += 1
            case "others use slots":
                self.account.used_by_others += 1
            case "others free their slots":
                self.account.used_by_others = 0
            case "days pass":
                self.now += 3e5

    # --- What must always hold

    @invariant()
    def a_submission_has_at_most_one_paid_task(self) -> None:
        for submission in self.submissions:
            assert sum(task.paid for task in self.tasks_of(submission)) <= 1, self.tasks_of(submission)

    @invariant()
    def a_submission_has_at_most_one_task_for_each_try(self) -> None:
        """An account that frees the ids of failed tasks may get a create twice: late, and again after its task has failed."""
        for submission in self.submissions:
            tasks, tries = self.tasks_of(submission), self.tries.get(submission.external_id, 0)
            assert len({task.external_id for task in tasks}) <= tries, tasks
            assert len(tasks) <= tries or self.id_policy == FREES_FAILED_IDS, tasks

    @invariant()
    def the_next_id_is_used_only_after_the_task_of_the_one_before_has_failed(self) -> None:
        for submission in self.submissions:
            tasks = self.tasks_of(submission)
            used = list(dict.fromkeys(task.external_id for task in tasks))
            assert used == ids_of(submission)[: len(used)]
            assert not any(task.paid for task in tasks[:-1])

    @invariant()
    def a_result_is_the_paid_task_of_its_submission(self) -> None:
        for process in self.processes:
            if process.task:
                paid = [str(task.number) for task in self.tasks_of(process.submission) if task.paid]
                assert paid == [process.task.kling_task_id]
                assert set(process.paths) <= self.saved

    @invariant()
    def no_try_ends_because_of_a_passing_fault(self) -> None:
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
    def an_error_that_says_nothing_was_made_is_right(self) -> None:
        for process in self.processes:
            one_start = not process.deferrable  # others have created before, on a worker
            if "Nothing was made" in str(process.error) or (one_start and "This start created nothing" in str(process.error)):
                assert not any(task.creator is process and task.paid for task in self.account.tasks)

    def teardown(self) -> None:
        """First nothing works, which ends the tries with a short timeout. Then there are no faults, and each submission gets
        its video.
        """
        if not self.submissions:
            return
        expiring = [process for process in self.alive if process.deadline < self.now + 3600]
        for _ in range(MAX_STEPS):
            for process in expiring:
                self.advance(process, "slow down")
        assert not any(process.alive for process in expiring)
        self.account.used_by_others = 0
        while self.account.delayed:
            self.account.apply_delayed(0)
        for _ in range(MAX_STEPS):
            for process in self.alive:
                self.advance_without_faults(process)
        assert not self.alive
        for submission in self.submissions:
            if not any(process.task for process in self.processes if process.submission is submission):
                number = self.tries.get(submission.external_id, 0) + 1
                last = self.start(submission, adopt_existing=True, timeout=1e6, deferrable=False, try_number=number)
                for _ in range(MAX_STEPS):
                    self.advance_without_faults(last)
                assert last.task, repr(last.error)
        self.a_submission_has_at_most_one_paid_task()
        self.a_result_is_the_paid_task_of_its_submission()
        results = {process.task.kling_task_id for process in self.processes if process.task}
        assert results == {str(task.number) for task in self.account.tasks if task.paid}  # each belongs to a submission
        assert self.saved >= {f"{number}.mp4" for number in results}

    # --- How processes advance

    @property
    def alive(self) -> list[Process]:
        return [process for process in self.processes if process.alive]

    def tasks_of(self, submission: Submission) -> list[ModelTask]:
        return [task for task in self.account.tasks if task.external_id in ids_of(submission)]

    def may_start(self, submission: Submission) -> bool:
        alive = sum(process.alive for process in self.processes if process.submission is submission)
        return alive < (2 if self.id_policy == ACCEPTS_AN_ID_ONCE else 1)

    def start(self, submission: Submission, *, try_number: int, **options: Any) -> Process:
        self.tries[submission.external_id] = max(try_number, self.tries.get(submission.external_id, 0))
        self.processes.append(Process(submission, now=self.now, try_number=try_number, **options))
        return self.processes[-1]

    def advance_without_faults(self, process: Process) -> None:
        for task in self.account.tasks:
            task.status = SUCCEED if task.status == SUBMITTED else task.status
        self.advance(process, "fine")

    def advance(self, process: Process, fate: str) -> None:
        if process.alive:
            process.advance(functools.partial(self.take, fate=fate), self.now)

    def take(self, step: Step, process: Process, *, fate: str) -> Any:
        """Take a step with this fate, and return its result."""
        match step:
            case Sleep(seconds):
                self.now = max(self.now, process.since + seconds)
                return self.now
            case LoadRequest(load):
                return load()
            case CheckCapacity():
                fail_before(fate)
                return None
            case Reserve() | GiveBack():
                return self.keep_cap(step)
            case SaveVideo(url, _, name):
                return self.save(url, name, process, fate)
            case Call():
                return self.account.respond(step, process, fate)
        raise AssertionError(step)

    def keep_cap(self, step: Reserve | GiveBack) -> Any:
        """There is no cap, so there is a place for everything."""
        return Reserved.HAD

    def save(self, url: str, name: str, process: Process, fate: str) -> Saved:
        if fate.startswith("killed"):
            raise Killed
        if fate == "in arrears":
            raise errors.KlingStorageError("disk full")
        if fate != "fine":
            raise errors.KlingDownloadError("cut", retryable=True)
        if f"/{self.account.link_generation}/" not in url:
            process.dead_links += 1
            raise errors.KlingDownloadError("dead", expired=True)
        self.saved.add(name)
        return Saved(name, new=True)


@functools.cache
def ids_of(submission: Submission) -> list[str]:
    return list(submission.external_ids())


@pytest.mark.hypothesis
@pytest.mark.parametrize(("id_policy", "worlds"), [(ACCEPTS_AN_ID_ONCE, 100), (FREES_FAILED_IDS, 50), (REFUSES_NO_ID, 100)])
def test_one_paid_task_per_submission_and_a_result_for_each_whatever_happens(id_policy: str, worlds: int) -> None:
    world = type("World", (World,), {"id_policy": id_policy})
    run_state_machine_as_test(
        world,
        settings=settings(
            max_examples=examples(worlds),
            stateful_step_count=40,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize(
    ("id_policy", "lag", "calls"),
    [
        pytest.param(ACCEPTS_AN_ID_ONCE, 2, [["lost after"]], id="a used id whose task is not shown at once"),
        pytest.param(ACCEPTS_AN_ID_ONCE, 40, [["lost after"]], id="a used id whose task is not shown for long"),
        pytest.param(ACCEPTS_AN_ID_ONCE, 1, [["done at once"]], id="a task that is done at once, and not shown at once"),
        pytest.param(REFUSES_NO_ID, 0, [["done at once", "refused"]], id="done at once, and the query of it fails"),
        pytest.param(REFUSES_NO_ID, 0, [["lost after", "refused"]], id="the lookup after a lost response fails"),
        pytest.param(REFUSES_NO_ID, 0, [["killed after"], ["no slot"]], id="the lookup of the next try finds no slot"),
        pytest.param(
            REFUSES_NO_ID, 0, [["fine", FAILED], ["fine", "fine", "no slot"]], id="no slot for the task after a failed one"
        ),
    ],
)
def test_earlier_failures_of_the_state_machine_do_not_recur(id_policy: str, lag: int, calls: list[list[str]]) -> None:
    """The machine above found each of these. One list of fates for each try."""
    world = type("World", (World,), {"id_policy": id_policy})()
    world.begin(slots=2, submissions=1, lag=lag)
    for fates in calls:
        for fate in fates:
            if fate == FAILED:
                world.end_task(0, FAILED)
                world.advance_process(0, ["fine"])
            else:
                world.advance_process(0, [fate])
    world.no_try_ends_because_of_a_passing_fault()
    world.teardown()
    world.no_try_ends_because_of_a_passing_fault()
    world.an_error_that_says_nothing_was_made_is_right()
